#include "services/auth/api_keys.h"

#include <charconv>

#include <fmt/format.h>
#include <boost/json/serialize.hpp>

#include "base/check.h"
#include "base/file.h"
#include "base/utf8.h"
#include "services/auth/random_token.h"

namespace cove::auth {
namespace {

using storage::Blob;
using storage::Null;
using storage::Row;
using storage::Value;

constexpr std::string_view kPrefix = "sk-cove-";
constexpr size_t kSecretBytes = 32;
constexpr size_t kSecretLength = kPrefix.size() + 43;
constexpr size_t kNameBytesMax = 200;
constexpr std::string_view kColumns =
    "id, name, role, hint, created_s, expires_s, disabled_s, scopes, limits, "
    "coalesce((SELECT users.name FROM users WHERE users.id = user_id), '')";
// With what the owner adds to an identity; no owner gives NULLs.
constexpr std::string_view kWithOwner =
    "SELECT k.id, k.name, k.role, k.hint, k.created_s, k.expires_s, k.disabled_s, k.scopes, k.limits, "
    "coalesce(u.name, ''), u.role, u.disabled_s, u.limits, k.hash "
    "FROM api_keys k LEFT JOIN users u ON u.id = k.user_id WHERE k.{} = ?";
constexpr size_t kOwnerRole = 10, kOwnerDisabled = 11, kOwnerLimits = 12, kHash = 13;

Result<LimitOverrides> limits_of(const Value& text) {
  TRY_ASSIGN(const json::value value, parse_json(storage::as_text(text)));
  return limits_from_json(value);
}

Result<KeyRecord> record_of(const Row& row) {
  KeyRecord record;
  record.id = storage::as_integer(row.at(0));
  record.name = storage::as_text(row.at(1));
  TRY_ASSIGN(record.role, parse_role(storage::as_text(row.at(2))));
  record.hint = storage::as_text(row.at(3));
  record.created_s = storage::as_integer(row.at(4));
  record.expires_s = storage::as_optional_integer(row.at(5));
  record.disabled_s = storage::as_optional_integer(row.at(6));
  record.scopes = split_scopes(storage::as_text(row.at(7)));
  TRY_ASSIGN(record.limits, limits_of(row.at(8)));
  record.owner = storage::as_text(row.at(9));
  return record;
}

Result<std::vector<KeyRecord>> records_of(const std::vector<Row>& rows) {
  std::vector<KeyRecord> records;
  for (const Row& row : rows) {
    TRY_ASSIGN(KeyRecord record, record_of(row));
    records.push_back(std::move(record));
  }
  return records;
}

Error refused() { return {ErrorCode::kUnauthenticated, "the API key is not known here, or not valid any more"}; }

bool usable(const KeyRecord& record, int64_t now_s) {
  return !record.disabled_s && (!record.expires_s || *record.expires_s > now_s);
}

Status check_new(const NewKey& key, int64_t now_s) {
  if (key.name.empty() || key.name.size() > kNameBytesMax || !is_valid_utf8(key.name) ||
      key.name.find_first_of("\n\r\t") != std::string::npos) {
    return invalid_argument(fmt::format("a key's name is 1 to {} bytes of text on one line", kNameBytesMax));
  }
  if (key.expires_s && *key.expires_s <= now_s) return invalid_argument("the key would already be expired");
  return check_scopes(key.scopes);
}

// A row of kWithOwner.
Result<Identity> identity_of_row(const Row& row, int64_t now_s) {
  TRY_ASSIGN(const KeyRecord record, record_of(row));
  if (!usable(record, now_s) || storage::as_optional_integer(row.at(kOwnerDisabled))) return refused();
  Identity identity{.key_id = record.id,
                    .id = fmt::format("key:{}", record.id),
                    .name = record.name,
                    .role = record.role,
                    .scopes = record.scopes,
                    .limits = record.limits};
  if (record.owner.empty()) return identity;
  identity.owner = "user:" + record.owner;
  TRY_ASSIGN(const Role owner_role, parse_role(storage::as_text(row.at(kOwnerRole))));
  // The owner may have been given another role since.
  if (!covers(owner_role, record.role)) identity.role = owner_role;
  TRY_ASSIGN(identity.owner_limits, limits_of(row.at(kOwnerLimits)));
  return identity;
}

// Nothing when nobody owns the key.
Result<std::optional<int64_t>> owner_id(storage::Database& database, const NewKey& key) {
  if (key.owner.empty()) return std::optional<int64_t>();
  TRY_ASSIGN(const auto rows,
             database.query("SELECT id, role FROM users WHERE name = ?", std::vector<Value>{key.owner}));
  if (rows.empty())
    return Error{ErrorCode::kNotFound, fmt::format("there is no user '{}'; 'cove user list' shows all", key.owner)};
  TRY_ASSIGN(const Role role, parse_role(storage::as_text(rows[0].at(1))));
  if (!covers(role, key.role)) {
    return invalid_argument(
        fmt::format("a key of '{}' cannot be {}: the user is {}", key.owner, to_string(key.role), to_string(role)));
  }
  return std::optional(storage::as_integer(rows[0].at(0)));
}

}  // namespace

Result<CreatedKey> ApiKeys::create(const NewKey& key, int64_t now_s) {
  TRY(check_new(key, now_s));
  TRY_ASSIGN(const std::optional<int64_t> owner, owner_id(*database_, key));
  CreatedKey created;
  created.secret = std::string(kPrefix) + random_token(kSecretBytes);
  const std::string hint =
      created.secret.substr(0, kPrefix.size() + 4) + "…" + created.secret.substr(kSecretLength - 4);
  const std::vector<Value> values = {key.name,
                                     std::string(to_string(key.role)),
                                     Blob{sha256(created.secret)},
                                     hint,
                                     now_s,
                                     key.expires_s ? Value(*key.expires_s) : Value(Null{}),
                                     join_scopes(key.scopes),
                                     json::serialize(limits_json(key.limits)),
                                     owner ? Value(*owner) : Value(Null{})};
  TRY_ASSIGN(const auto rows,
             database_->query(fmt::format("INSERT INTO api_keys (name, role, hash, hint, created_s, expires_s, scopes, "
                                          "limits, user_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING {}",
                                          kColumns),
                              values));
  TRY_ASSIGN(created.record, record_of(rows.at(0)));
  return created;
}

Result<std::vector<KeyRecord>> ApiKeys::list() {
  TRY_ASSIGN(const auto rows, database_->query(fmt::format("SELECT {} FROM api_keys ORDER BY id", kColumns)));
  return records_of(rows);
}

Result<KeyRecord> ApiKeys::only_one(const Result<std::vector<Row>>& rows, int64_t id) {
  if (!rows) return rows.error();
  if (rows->empty()) return Error{ErrorCode::kNotFound, fmt::format("there is no key with the id {}", id)};
  return record_of(rows->at(0));
}

Result<KeyRecord> ApiKeys::find(int64_t id) {
  return only_one(
      database_->query(fmt::format("SELECT {} FROM api_keys WHERE id = ?", kColumns), std::vector<Value>{id}), id);
}

Result<KeyRecord> ApiKeys::set_limits(int64_t id, const LimitOverrides& limits) {
  return only_one(database_->query(fmt::format("UPDATE api_keys SET limits = ? WHERE id = ? RETURNING {}", kColumns),
                                   std::vector<Value>{json::serialize(limits_json(limits)), id}),
                  id);
}

Result<std::vector<KeyRecord>> ApiKeys::revoke(std::string_view id_or_name, int64_t now_s) {
  int64_t id = 0;
  const auto [end, error] = std::from_chars(id_or_name.data(), id_or_name.data() + id_or_name.size(), id);
  const bool is_id = error == std::errc() && end == id_or_name.data() + id_or_name.size();
  const std::vector<Value> values = {now_s, is_id ? Value(id) : Value(std::string(id_or_name))};
  TRY_ASSIGN(
      const auto rows,
      database_->query(fmt::format("UPDATE api_keys SET disabled_s = coalesce(disabled_s, ?) WHERE {} = ? RETURNING {}",
                                   is_id ? "id" : "name", kColumns),
                       values));
  if (rows.empty()) {
    return Error{ErrorCode::kNotFound, fmt::format("there is no key with the {} '{}'; 'cove apikey list' shows all",
                                                   is_id ? "id" : "name", id_or_name)};
  }
  return records_of(rows);
}

Result<Identity> ApiKeys::verify(std::string_view secret, int64_t now_s) {
  if (secret.size() != kSecretLength || !secret.starts_with(kPrefix)) return refused();
  const std::string hash = sha256(secret);
  // The index look-up is by the hash of what was sent: its timing tells about hashes, from which no key can be found.
  static const std::string kSql = fmt::format(fmt::runtime(kWithOwner), "hash");
  TRY_ASSIGN(const auto rows, database_->query(kSql, std::vector<Value>{Blob{hash}}));
  if (rows.empty() || !equal_secrets(storage::as_blob(rows[0].at(kHash)), hash)) return refused();
  return identity_of_row(rows[0], now_s);
}

Result<Identity> ApiKeys::current(int64_t id, int64_t now_s) {
  static const std::string kSql = fmt::format(fmt::runtime(kWithOwner), "id");
  TRY_ASSIGN(const auto rows, database_->query(kSql, std::vector<Value>{id}));
  if (rows.empty()) return refused();
  return identity_of_row(rows[0], now_s);
}

Result<std::optional<std::string>> ensure_admin_key(ApiKeys& keys, const std::filesystem::path& path, int64_t now_s) {
  TRY_ASSIGN(const auto records, keys.list());
  for (const KeyRecord& record : records) {
    if (record.role == Role::kAdmin && usable(record, now_s)) return std::optional<std::string>();
  }
  TRY_ASSIGN(const CreatedKey created, keys.create({.name = "admin", .role = Role::kAdmin, .expires_s = {}}, now_s));
  TRY(write_file_atomic(path, created.secret + "\n", 0600));
  return std::optional(created.secret);
}

}  // namespace cove::auth
