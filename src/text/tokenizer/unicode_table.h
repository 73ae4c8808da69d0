#pragma once
// What the pre-tokenizers ask of a character: letter, number, mark, punctuation, symbol, space. One byte of flags for
// each code point, made once from utf8proc's tables; ASCII costs one load, everything else two.

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

namespace cove::text {

enum CharClass : uint8_t {
  kLetter = 1,       // \p{L}
  kNumber = 2,       // \p{N}
  kMark = 4,         // \p{M}
  kPunctuation = 8,  // \p{P}
  kSymbol = 16,      // \p{S}
  kSpace = 32,       // White_Space: what \s means in Oniguruma and in Rust
  kNewline = 64,     // \r and \n (which are kSpace too)
  kIdeograph = 128,  // [一-龥぀-ゟ゠-ヿ]: what DeepSeek's second splitter isolates
};

class UnicodeTable {
 public:
  // Built on first use (about 10 ms), then shared by all threads.
  static const UnicodeTable& instance();

  uint8_t classes(char32_t code_point) const {
    return pages_[static_cast<size_t>(page_of_[code_point >> 8]) * 256 + (code_point & 0xFF)];
  }
  uint8_t ascii_classes(unsigned char byte) const { return pages_[byte]; }

 private:
  UnicodeTable();
  std::vector<uint8_t> pages_;              // distinct pages of 256 code points; page 0 is U+0000..U+00FF
  std::array<uint16_t, 0x1100> page_of_{};  // code point >> 8 -> page
};

// One character of well-formed UTF-8 and what it is.
struct ClassifiedChar {
  char32_t code_point = 0;
  uint8_t length = 0;   // bytes; 0 at the end of the text
  uint8_t classes = 0;  // 0 at the end of the text
};

inline ClassifiedChar classify_at(const UnicodeTable& table, std::string_view text, size_t at) {
  if (at >= text.size()) return {};
  const auto byte = [&](size_t i) { return static_cast<char32_t>(static_cast<unsigned char>(text[i])); };
  const char32_t first = byte(at);
  if (first < 0x80) return {first, 1, table.ascii_classes(static_cast<unsigned char>(first))};
  char32_t code_point = 0;
  uint8_t length = 0;
  if (first < 0xE0) {
    code_point = ((first & 0x1F) << 6) | (byte(at + 1) & 0x3F);
    length = 2;
  } else if (first < 0xF0) {
    code_point = ((first & 0x0F) << 12) | ((byte(at + 1) & 0x3F) << 6) | (byte(at + 2) & 0x3F);
    length = 3;
  } else {
    code_point =
        ((first & 0x07) << 18) | ((byte(at + 1) & 0x3F) << 12) | ((byte(at + 2) & 0x3F) << 6) | (byte(at + 3) & 0x3F);
    length = 4;
  }
  return {code_point, length, table.classes(code_point)};
}

}  // namespace cove::text
