#pragma once
// Public keys that signatures of JWTs are checked with (RFC 7517, 7518), on OpenSSL. A key decides which algorithms may
// be used with it: the token's `alg` only chooses among those, so that no public key is ever taken for a secret.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

struct evp_pkey_st;

namespace cove::auth {

enum class Algorithm : uint8_t { kRs256, kRs384, kRs512, kPs256, kPs384, kPs512, kEs256, kEs384, kHs256 };
std::string_view to_string(Algorithm algorithm);
// Nothing for "none" and all that is unknown here; exact spelling.
std::optional<Algorithm> parse_algorithm(std::string_view text);

struct FreePkey {
  void operator()(evp_pkey_st* key) const;
};
using Pkey = std::unique_ptr<evp_pkey_st, FreePkey>;

class VerifyKey {
 public:
  // RSA of 2048 to 8192 bits, EC on P-256 or P-384. Errors: kInvalidArgument (weak, broken, not on its curve, not made
  // for signatures), kUnsupported (another kind of key, secrets included).
  static Result<VerifyKey> from_jwk(const json::value& jwk);
  // For HS256; at least 32 bytes.
  static Result<VerifyKey> from_secret(std::string secret);

  const std::string& kid() const { return kid_; }
  bool allows(Algorithm algorithm) const;
  // False for a wrong signature and for an algorithm that the key does not allow.
  bool verify(Algorithm algorithm, std::string_view signed_text, std::string_view signature) const;

 private:
  enum class Kind : uint8_t { kRsa, kP256, kP384, kSecret };
  std::string kid_;
  Kind kind_ = Kind::kRsa;
  std::optional<Algorithm> only_;  // the JWK's own `alg`
  std::shared_ptr<evp_pkey_st> key_;
  std::string secret_;
};

class KeySet {
 public:
  // A JWKS. Keys of other kinds and uses are passed over, as RFC 7517 asks; a set without one usable key is an error.
  static Result<KeySet> parse(std::string_view text);
  static KeySet of(VerifyKey key);

  // With a kid: the key of exactly that name. Without: the only key that fits, never one of several.
  const VerifyKey* find(const std::optional<std::string>& kid, Algorithm algorithm) const;
  size_t size() const { return keys_.size(); }

 private:
  std::vector<VerifyKey> keys_;
};

// An ECDSA signature as JWS writes it, r and s side by side, from DER, and back. Nothing when it is none.
std::optional<std::string> ecdsa_from_der(std::string_view der, size_t width);
std::optional<std::string> ecdsa_to_der(std::string_view raw, size_t width);

}  // namespace cove::auth
