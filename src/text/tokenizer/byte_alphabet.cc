#include "text/tokenizer/byte_alphabet.h"

#include <array>
#include <cstdint>

#include "base/utf8.h"

namespace cove::text {
namespace {

constexpr size_t kAlphabetEnd = 256 + 68;  // 68 bytes have no printable character of their own

constexpr bool is_printable(int byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || (byte >= 0xAE && byte <= 0xFF);
}

constexpr std::array<uint16_t, 256> make_char_of_byte() {
  std::array<uint16_t, 256> chars{};
  uint16_t next = 256;
  for (int byte = 0; byte < 256; ++byte)
    chars[static_cast<size_t>(byte)] = is_printable(byte) ? static_cast<uint16_t>(byte) : next++;
  return chars;
}

constexpr std::array<uint16_t, 256> kCharOfByte = make_char_of_byte();

constexpr std::array<int16_t, kAlphabetEnd> make_byte_of_char() {
  std::array<int16_t, kAlphabetEnd> bytes{};
  for (int16_t& byte : bytes) byte = -1;
  for (size_t byte = 0; byte < 256; ++byte) bytes[kCharOfByte[byte]] = static_cast<int16_t>(byte);
  return bytes;
}

constexpr std::array<int16_t, kAlphabetEnd> kByteOfChar = make_byte_of_char();

}  // namespace

bool append_alphabet_bytes(std::string_view published, std::string& bytes) {
  const size_t before = bytes.size();
  for (size_t at = 0; at < published.size();) {
    // The alphabet lies below U+0144: one or two bytes of UTF-8.
    const auto first = static_cast<unsigned char>(published[at]);
    size_t code_point = first;
    if (first >= 0x80 && at + 1 < published.size()) {
      code_point = static_cast<size_t>(first & 0x1F) << 6 | (static_cast<unsigned char>(published[at + 1]) & 0x3F);
    }
    const bool known = (first < 0x80 || (first >= 0xC2 && first < 0xE0 && at + 1 < published.size())) &&
                       code_point < kAlphabetEnd && kByteOfChar[code_point] >= 0;
    if (!known) {
      bytes.resize(before);
      return false;
    }
    bytes += static_cast<char>(kByteOfChar[code_point]);
    at += first < 0x80 ? 1 : 2;
  }
  return true;
}

std::string to_byte_alphabet(std::string_view bytes) {
  std::string published;
  published.reserve(bytes.size());
  for (const char c : bytes) append_utf8(published, kCharOfByte[static_cast<unsigned char>(c)]);
  return published;
}

}  // namespace cove::text
