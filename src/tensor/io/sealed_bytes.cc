#include "tensor/io/sealed_bytes.h"

#include <openssl/rand.h>
#include <openssl/sha.h>

#include "base/check.h"

namespace cove {

Bytes32 sha256_of(std::span<const unsigned char> bytes) {
  Bytes32 digest;
  SHA256(bytes.data(), bytes.size(), digest.data());
  return digest;
}

std::string hex_text(std::span<const unsigned char> bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  for (const unsigned char b : bytes) {
    out += kDigits[b >> 4];
    out += kDigits[b & 15];
  }
  return out;
}

void fill_random(std::span<unsigned char> out) {
  COVE_CHECK(RAND_bytes(out.data(), static_cast<int>(out.size())) == 1);
}

}  // namespace cove
