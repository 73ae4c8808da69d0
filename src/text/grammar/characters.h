#pragma once
// Sets of characters, as grammars write them: plain, or inside a JSON string where some need an escape.

#include <span>
#include <vector>

#include "text/grammar/network.h"

namespace cove::text::grammar {

enum class TextForm : uint8_t { kPlain, kJsonString };

using CharSet = std::vector<Network::CharRange>;  // sorted, disjoint after normalise()

CharSet normalise(CharSet set);
CharSet complement(const CharSet& set);  // of all characters
CharSet intersect(const CharSet& a, const CharSet& b);
inline CharSet all_characters() { return {{.low = 0, .high = 0x10FFFF}}; }

// What may stand in a JSON string without an escape.
const CharSet& raw_json_characters();
// One character of the set. In a JSON string: raw where that is allowed, else its escape.
Fragment one_of(Network& network, const CharSet& set, TextForm form);
// Any one character of a JSON string, raw or in any escape, \uXXXX and pairs of them included.
Fragment any_json_character(Network& network);

}  // namespace cove::text::grammar
