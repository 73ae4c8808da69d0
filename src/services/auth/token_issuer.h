#pragma once
// Our own tokens: JWTs signed with ES256. The private keys stand in one file of the data directory (mode 0600); several
// programs may use it at the same time (`cove token rotate` beside a running server): a change is seen within a second.
// A retired key verifies until every token it signed has expired. Any thread.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "services/auth/identity.h"
#include "services/auth/jwt.h"

namespace cove::auth {

struct TokenIssuerOptions {
  std::filesystem::path path;   // DATA/token_keys.json; made when missing
  std::string issuer = "cove";  // `iss` and `aud` of our tokens
  int64_t ttl_s = 3600;
  int64_t leeway_s = 60;
};

struct SigningKeyInfo {
  std::string kid;
  int64_t created_s = 0;
  std::optional<int64_t> retired_s;  // signs nothing from then on
  std::optional<int64_t> verifies_until_s;
};

struct IssuedToken {
  std::string token;
  int64_t expires_in_s = 0;
};

// What one of our tokens says.
struct TokenGrant {
  std::string subject;  // an identity's id
  Scopes scopes;
  int64_t issued_s = 0;
};

enum class OldKeys : uint8_t { kOverlap, kDrop };  // kDrop: after a key was stolen; every token issued so far ends

class TokenIssuer {
 public:
  // Errors: kIo, kDataCorrupt, kFailedPrecondition (others may read the file).
  static Result<std::unique_ptr<TokenIssuer>> open(const TokenIssuerOptions& options, int64_t now_s);
  ~TokenIssuer();
  TokenIssuer(const TokenIssuer&) = delete;
  TokenIssuer& operator=(const TokenIssuer&) = delete;

  const std::string& issuer() const { return options_.issuer; }
  Result<IssuedToken> issue(const Identity& identity, const Scopes& scopes, int64_t now_s);
  // Errors: kUnauthenticated.
  Result<TokenGrant> verify(const ParsedToken& token, int64_t now_s);
  // A new signing key; the present one is retired. Blocks for a file. Errors: kIo.
  Result<std::vector<SigningKeyInfo>> rotate(OldKeys old_keys, int64_t now_s);
  std::vector<SigningKeyInfo> list(int64_t now_s);
  // The public keys, for others to verify our tokens with.
  std::string jwks(int64_t now_s);

 private:
  struct Key;
  using Keys = std::vector<Key>;
  explicit TokenIssuer(const TokenIssuerOptions& options) : options_(options) {}
  std::shared_ptr<const Keys> current(int64_t now_s);
  Result<Keys> read_keys() const;
  Status write_keys(const Keys& keys) const;
  bool verifies(const Key& key, int64_t now_s) const;

  TokenIssuerOptions options_;
  std::mutex mutex_;  // guards the rest
  std::shared_ptr<const Keys> keys_;
  std::filesystem::file_time_type read_at_;
  int64_t looked_s_ = 0;
};

}  // namespace cove::auth
