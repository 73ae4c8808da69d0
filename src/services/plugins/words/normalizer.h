#pragma once
// Text as the word filter compares it: folded characters as UTF-8, and for each of its bytes where the character stood.
// What the fold table skips leaves no trace, up to a bound: a longer run becomes one kGapByte, which no word contains.
// A stream: the result does not depend on how the text was cut.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "services/plugins/words/fold.h"

namespace cove::plugins {

inline constexpr char kGapByte = '\x01';  // U+0001 is skipped itself, so it cannot come from the text

struct NormalText {
  std::string bytes;
  std::vector<uint32_t> origin;  // one per byte: where its character begins in the raw text
};

class Normalizer {
 public:
  // Runs of more than `gap_max` skipped characters separate.
  explicit Normalizer(uint32_t gap_max) : gap_max_(gap_max), table_(&FoldTable::get()) {}

  // Appends the characters of raw[from..]; they must be complete.
  void push(std::string_view raw, size_t from, NormalText& out);

 private:
  uint32_t gap_max_;
  uint32_t gap_ = 0;  // skipped characters since the last kept one
  const FoldTable* table_;
};

// A word, folded: nothing is left of what is skipped.
std::string normalize_word(std::string_view word);

inline bool is_ascii_alnum(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
// White space of any script; for the few characters between the letters of a match.
bool is_white_space(char32_t c);

}  // namespace cove::plugins
