#pragma once
// API keys: `sk-cove-` and 43 characters of base64url, 256 random bits. Shown once; the database keeps SHA-256 of the
// key. A slow password hash (Argon2) would add nothing: it protects guessable secrets, and 256 random bits cannot be
// guessed, while every request would pay for it. Any thread.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "storage/database.h"

namespace cove::auth {

enum class Role : uint8_t { kUser, kAdmin };
std::string_view to_string(Role role);
Result<Role> parse_role(std::string_view text);

// Who makes a request.
struct Identity {
  int64_t key_id = 0;  // 0 = no API key
  std::string id;      // stable, for limits, alerts and the audit log: "key:12", "anonymous"
  std::string name;    // for people; not unique
  Role role = Role::kUser;
};

struct KeyRecord {
  int64_t id = 0;
  std::string name;
  Role role = Role::kUser;
  std::string hint;  // the key's beginning and end, to recognise it: "sk-cove-ab…yz"
  int64_t created_s = 0;
  std::optional<int64_t> expires_s;
  std::optional<int64_t> disabled_s;
};

struct NewKey {
  std::string name;
  Role role = Role::kUser;
  std::optional<int64_t> expires_s;
};

struct CreatedKey {
  KeyRecord record;
  std::string secret;  // the key itself; nobody can show it again
};

class ApiKeys {
 public:
  explicit ApiKeys(storage::Database& database) : database_(&database) {}

  // Errors: kInvalidArgument for an empty or too long name or an expiry in the past.
  Result<CreatedKey> create(const NewKey& key, int64_t now_s);
  Result<std::vector<KeyRecord>> list();
  // By id or by name; a name may mean several keys, all are disabled. Errors: kNotFound.
  Result<std::vector<KeyRecord>> revoke(std::string_view id_or_name, int64_t now_s);
  // Errors: kUnauthenticated (unknown, disabled, expired; the message does not say which), kIo.
  Result<Identity> verify(std::string_view secret, int64_t now_s);

 private:
  storage::Database* database_;
};

// The key for the machine's owner: when no usable admin key exists, makes one and writes it to `path` (mode 0600).
// Returns it, or nullopt when there was one already.
Result<std::optional<std::string>> ensure_admin_key(ApiKeys& keys, const std::filesystem::path& path, int64_t now_s);

}  // namespace cove::auth
