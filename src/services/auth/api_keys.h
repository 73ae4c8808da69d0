#pragma once
// API keys: `sk-cove-` and 43 characters of base64url, 256 random bits. Shown once; the database keeps SHA-256 of the
// key. A slow password hash (Argon2) would add nothing: it protects guessable secrets, and 256 random bits cannot be
// guessed, while every request would pay for it. A key may belong to a user: then it is refused while the user is
// disabled, and never has more rights than the user. Any thread.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "services/auth/identity.h"
#include "storage/database.h"

namespace cove::auth {

struct KeyRecord {
  int64_t id = 0;
  std::string name;
  Role role = Role::kUser;
  std::string hint;  // the key's beginning and end, to recognise it: "sk-cove-ab…yz"
  int64_t created_s = 0;
  std::optional<int64_t> expires_s;
  std::optional<int64_t> disabled_s;
  Scopes scopes;
  LimitOverrides limits;
  std::string owner;  // the name of the user whose key it is; empty = nobody's
};

struct NewKey {
  std::string name;
  Role role = Role::kUser;
  std::optional<int64_t> expires_s;
  Scopes scopes{};
  LimitOverrides limits{};
  std::string owner{};
};

struct CreatedKey {
  KeyRecord record;
  std::string secret;  // the key itself; nobody can show it again
};

class ApiKeys {
 public:
  explicit ApiKeys(storage::Database& database) : database_(&database) {}

  // Errors: kInvalidArgument for an empty or too long name, an expiry in the past, a scope that is none, or a role
  // beyond the owner's; kNotFound for an unknown owner.
  Result<CreatedKey> create(const NewKey& key, int64_t now_s);
  Result<std::vector<KeyRecord>> list();
  // By id or by name; a name may mean several keys, all are disabled. Errors: kNotFound.
  Result<std::vector<KeyRecord>> revoke(std::string_view id_or_name, int64_t now_s);
  // Errors: kNotFound.
  Result<KeyRecord> find(int64_t id);
  Result<KeyRecord> set_limits(int64_t id, const LimitOverrides& limits);
  // Errors: kUnauthenticated (unknown, disabled, expired; the message does not say which), kIo.
  Result<Identity> verify(std::string_view secret, int64_t now_s);
  // The identity of a key that was verified earlier, for sessions and tokens. Errors as verify.
  Result<Identity> current(int64_t id, int64_t now_s);

 private:
  Result<KeyRecord> only_one(const Result<std::vector<storage::Row>>& rows, int64_t id);

  storage::Database* database_;
};

// The key for the machine's owner: when no usable admin key exists, makes one and writes it to `path` (mode 0600).
// Returns it, or nullopt when there was one already.
Result<std::optional<std::string>> ensure_admin_key(ApiKeys& keys, const std::filesystem::path& path, int64_t now_s);

}  // namespace cove::auth
