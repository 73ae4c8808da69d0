#include "tensor/io/seal_key.h"

#include <algorithm>

#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include "base/check.h"
#include "tensor/io/sealed_bytes.h"

namespace cove {
namespace {

constexpr size_t kHexDigits = 64;
constexpr size_t kBase64Digits = 44;  // of 32 bytes, with the final '='

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

bool decode_hex(std::string_view text, std::array<unsigned char, 32>& out) {
  for (size_t i = 0; i < out.size(); ++i) {
    const int high = hex_digit(text[2 * i]);
    const int low = hex_digit(text[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    out[i] = static_cast<unsigned char>(high << 4 | low);
  }
  return true;
}

bool decode_base64(std::string_view text, std::array<unsigned char, 32>& out) {
  std::array<unsigned char, 33> decoded{};  // whole groups of three
  const bool padded = text.back() == '=' && text[text.size() - 2] != '=';
  const int length = EVP_DecodeBlock(decoded.data(), reinterpret_cast<const unsigned char*>(text.data()),
                                     static_cast<int>(text.size()));
  const bool good = padded && length == static_cast<int>(decoded.size());
  if (good) std::copy_n(decoded.begin(), out.size(), out.begin());
  OPENSSL_cleanse(decoded.data(), decoded.size());
  return good;
}

}  // namespace

SealKey SealKey::generate() {
  SealKey key;
  COVE_CHECK(RAND_priv_bytes(key.bytes_.data(), static_cast<int>(key.bytes_.size())) == 1);
  return key;
}

SealKey SealKey::from_bytes(std::span<const unsigned char, 32> bytes) {
  SealKey key;
  std::copy(bytes.begin(), bytes.end(), key.bytes_.begin());
  return key;
}

Result<SealKey> SealKey::from_text(std::string_view text) {
  text = trimmed(text);
  SealKey key;
  if (text.size() == kHexDigits && decode_hex(text, key.bytes_)) return key;
  if (text.size() == kBase64Digits && decode_base64(text, key.bytes_)) return key;
  if (text.empty()) return invalid_argument("is empty; a key is 64 hex digits, 'cove key new FILE' makes one");
  if (text.size() == kHexDigits || text.size() == kBase64Digits) {
    return invalid_argument("is no key: it has the right length, but holds other characters than hex digits or base64");
  }
  return invalid_argument(fmt::format(
      "is no key: {} characters, but a key is 64 hex digits or the base64 of 32 bytes; 'cove key new FILE' makes one",
      text.size()));
}

SealKey::~SealKey() { OPENSSL_cleanse(bytes_.data(), bytes_.size()); }
std::string SealKey::to_hex() const { return hex_text(bytes_); }
std::string SealKey::id() const {
  const Bytes32 digest = sha256_of(bytes_);
  return hex_text(std::span(digest).first(8));
}

}  // namespace cove
