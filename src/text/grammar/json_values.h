#pragma once
// JSON values of any kind, and the pieces that schemas are put together from. White space is what models write and no
// more: nothing, one blank, or a line break with indentation; without a bound a small model can write blanks for ever.

#include "text/grammar/network.h"

namespace cove::text::grammar {

// Rules that every JSON grammar shares, made once per network.
struct JsonRules {
  RuleId space = 0;
  RuleId character = 0;  // of a string
  RuleId string = 0;
  RuleId number = 0;
  RuleId integer = 0;
  RuleId value = 0;
  RuleId object = 0;
  RuleId array = 0;
};
JsonRules add_json_rules(Network& network);

// { first, second } with the brackets and space; `members` may be empty text.
Fragment enclosed(Network& network, const JsonRules& rules, char open, Fragment content, char close);
// ", " as the separator of members and items.
Fragment separator(Network& network, const JsonRules& rules);
// ": " after a key.
Fragment colon(Network& network, const JsonRules& rules);

}  // namespace cove::text::grammar
