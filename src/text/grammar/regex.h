#pragma once
// Regular expressions as grammars: the part of ECMA-262 that has no memory and does not look around. For JSON Schema's
// `pattern` and for guided_regex.

#include <string_view>

#include "base/result.h"
#include "text/grammar/characters.h"
#include "text/grammar/network.h"

namespace cove::text::grammar {

enum class Anchoring : uint8_t {
  kWhole,   // the text is one match
  kSearch,  // the text holds a match; ^ and $ pin it
};

// Literals, ., classes, \d \w \s \D \W \S \t \n \r \f \v \xHH \uHHHH, groups, |, * + ? {m,n}; ^ and $ at the ends of an
// alternative. Lazy quantifiers mean the same here. Errors: kInvalidArgument naming position and reason (look-around,
// back references, \b, syntax).
Result<Fragment> compile_regex(Network& network, std::string_view pattern, TextForm form, Anchoring anchoring);

}  // namespace cove::text::grammar
