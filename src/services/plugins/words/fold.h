#pragma once
// How the word filter reads a character: full width as half width, capitals as small letters, traditional as simplified
// Chinese; white space, punctuation, symbols, combining marks and invisible characters not at all. Data:
// fold_table.inc.

#include <array>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace cove::plugins {

// A folded character as UTF-8, ready to be copied.
struct FoldedChar {
  char bytes[4] = {};
};

class FoldTable {
 public:
  // Of the whole process; 320 KB, made at first use.
  static const FoldTable& get();

  // 0 = the character is skipped.
  char32_t fold(char32_t c) const;
  // Length 0 = skipped.
  FoldedChar folded(char32_t c) const { return c < bmp_.size() ? bmp_[c] : encoded(fold(c)); }
  static size_t length(FoldedChar c) { return kLengths[static_cast<unsigned char>(c.bytes[0]) >> 4]; }

 private:
  // By the first byte's upper half; a folded character never begins with a byte below 0x10 but for "skipped".
  static constexpr uint8_t kLengths[16] = {0, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 2, 2, 3, 4};
  FoldTable();
  static FoldedChar encoded(char32_t c);

  std::array<FoldedChar, 0x10000> bmp_{};
  std::vector<std::pair<char32_t, char32_t>> folds_;  // sorted; what does not fold to itself
};

struct DecodedChar {
  char32_t code = 0;
  uint32_t bytes = 1;
};

// The character at `offset`, which must be complete; an ill-formed byte is one U+FFFD.
inline DecodedChar decode_char(std::string_view text, size_t offset) {
  const size_t left = text.size() - offset;
  const auto byte = [&](size_t i) { return static_cast<char32_t>(static_cast<unsigned char>(text[offset + i])); };
  const auto tail = [&](size_t i) { return (byte(i) & 0xC0) == 0x80; };
  const char32_t lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  if (lead >= 0xE0 && lead < 0xF0 && left >= 3 && tail(1) && tail(2))
    return {(lead & 0x0F) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F), 3};
  if (lead >= 0xC2 && lead < 0xE0 && left >= 2 && tail(1)) return {(lead & 0x1F) << 6 | (byte(1) & 0x3F), 2};
  if (lead >= 0xF0 && lead < 0xF5 && left >= 4 && tail(1) && tail(2) && tail(3))
    return {(lead & 0x07) << 18 | (byte(1) & 0x3F) << 12 | (byte(2) & 0x3F) << 6 | (byte(3) & 0x3F), 4};
  return {0xFFFD, 1};
}

}  // namespace cove::plugins
