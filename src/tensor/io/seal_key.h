#pragma once
// 256-bit keys: those that people hold (key-encryption keys) and the random ones that encrypt a file's chunks. Used by
// sealed files and by whoever reads a key from a file, the environment or a command.

#include <array>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace cove {

// 32 secret bytes; wiped when destroyed.
class SealKey {
 public:
  static SealKey generate();
  static SealKey from_bytes(std::span<const unsigned char, 32> bytes);
  // 64 hex digits, as `cove key new` writes, or the base64 of 32 bytes, as key management services give; white space
  // around it is allowed. Errors: kInvalidArgument, which never shows what was given.
  static Result<SealKey> from_text(std::string_view text);
  SealKey(const SealKey&) = default;
  SealKey& operator=(const SealKey&) = default;
  ~SealKey();

  std::string to_hex() const;
  // The first 8 bytes of SHA-256 over the key, as hex: names the key in headers and messages without telling it.
  std::string id() const;
  std::span<const unsigned char, 32> bytes() const { return bytes_; }

 private:
  SealKey() = default;
  std::array<unsigned char, 32> bytes_{};
};

}  // namespace cove
