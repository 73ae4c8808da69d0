#pragma once
// The audit log's keys: Ed25519 signs checkpoints (its public half is given to whoever verifies), HMAC-SHA256 hashes
// texts that are not kept. Files are PEM and hex, mode 0600. SHA-256, which binds the lines, is here as well.

#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

struct evp_pkey_st;

namespace cove::audit {

using Hash = std::array<unsigned char, 32>;
using Signature = std::array<unsigned char, 64>;

Hash sha256(std::string_view bytes);
std::string to_hex(std::string_view bytes);
// Appends two lower-case digits a byte.
void append_hex(std::string& out, const unsigned char* bytes, size_t count);
// Exactly 2 * count lower-case digits; false otherwise.
bool read_hex(std::string_view text, unsigned char* bytes, size_t count);
template <size_t N>
std::string to_hex(const std::array<unsigned char, N>& bytes) {
  std::string out;
  append_hex(out, bytes.data(), N);
  return out;
}

struct FreeKey {
  void operator()(evp_pkey_st* key) const;
};
using KeyHandle = std::unique_ptr<evp_pkey_st, FreeKey>;

class PublicKey {
 public:
  // PEM, or 64 hex digits as in the log's "open" lines. Errors: kInvalidArgument.
  static Result<PublicKey> from_text(std::string_view text);
  static Result<PublicKey> from_bytes(const Hash& raw);

  bool verifies(std::string_view message, const Signature& signature) const;
  const Hash& bytes() const { return raw_; }
  std::string to_pem() const;
  // The first 8 bytes of SHA-256 over the key, as hex.
  std::string id() const;

 private:
  PublicKey(KeyHandle key, const Hash& raw) : key_(std::move(key)), raw_(raw) {}
  std::shared_ptr<evp_pkey_st> key_;  // never changed: copies share it
  Hash raw_;
};

// Whether a missing key may be made: not where a log already stands that another key signed.
enum class MissingKey : uint8_t { kMake, kRefuse };

class SigningKey {
 public:
  // Errors: kFailedPrecondition (missing, or open to every account), kInvalidArgument (not such a key), kIo.
  static Result<SigningKey> open(const std::filesystem::path& path, MissingKey missing);
  Signature sign(std::string_view message) const;
  const PublicKey& public_key() const { return public_key_; }

 private:
  SigningKey(KeyHandle key, PublicKey public_key) : key_(std::move(key)), public_key_(std::move(public_key)) {}
  KeyHandle key_;
  PublicKey public_key_;
};

class HashKey {
 public:
  static Result<HashKey> open(const std::filesystem::path& path, MissingKey missing);
  HashKey(const HashKey&) = default;
  HashKey& operator=(const HashKey&) = default;
  ~HashKey();
  Hash hash(std::string_view text) const;
  // Names the key without telling it.
  std::string id() const;

 private:
  explicit HashKey(const Hash& key) : key_(key) {}
  Hash key_;
};

}  // namespace cove::audit
