#include "services/auth/api_keys.h"

#include <charconv>

#include <fmt/format.h>

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
constexpr std::string_view kColumns = "id, name, role, hint, created_s, expires_s, disabled_s";

KeyRecord record_of(const Row& row) {
  KeyRecord record;
  record.id = storage::as_integer(row.at(0));
  record.name = storage::as_text(row.at(1));
  record.role = storage::as_text(row.at(2)) == "admin" ? Role::kAdmin : Role::kUser;
  record.hint = storage::as_text(row.at(3));
  record.created_s = storage::as_integer(row.at(4));
  record.expires_s = storage::as_optional_integer(row.at(5));
  record.disabled_s = storage::as_optional_integer(row.at(6));
  return record;
}

bool usable(const KeyRecord& record, int64_t now_s) {
  return !record.disabled_s && (!record.expires_s || *record.expires_s > now_s);
}

Status check_new(const NewKey& key, int64_t now_s) {
  if (key.name.empty() || key.name.size() > kNameBytesMax || !is_valid_utf8(key.name) ||
      key.name.find_first_of("\n\r\t") != std::string::npos) {
    return invalid_argument(fmt::format("a key's name is 1 to {} bytes of text on one line", kNameBytesMax));
  }
  if (key.expires_s && *key.expires_s <= now_s) return invalid_argument("the key would already be expired");
  return {};
}

}  // namespace

std::string_view to_string(Role role) { return role == Role::kAdmin ? "admin" : "user"; }

Result<Role> parse_role(std::string_view text) {
  if (text == "admin") return Role::kAdmin;
  if (text == "user") return Role::kUser;
  return invalid_argument(fmt::format("'{}' is no role: admin or user", text));
}

Result<CreatedKey> ApiKeys::create(const NewKey& key, int64_t now_s) {
  TRY(check_new(key, now_s));
  CreatedKey created;
  created.secret = std::string(kPrefix) + random_token(kSecretBytes);
  const std::string hint =
      created.secret.substr(0, kPrefix.size() + 4) + "…" + created.secret.substr(kSecretLength - 4);
  const std::vector<Value> values = {key.name,
                                     std::string(to_string(key.role)),
                                     Blob{sha256(created.secret)},
                                     hint,
                                     now_s,
                                     key.expires_s ? Value(*key.expires_s) : Value(Null{})};
  TRY_ASSIGN(const auto rows,
             database_->query(fmt::format("INSERT INTO api_keys (name, role, hash, hint, created_s, expires_s) "
                                          "VALUES (?, ?, ?, ?, ?, ?) RETURNING {}",
                                          kColumns),
                              values));
  created.record = record_of(rows.at(0));
  return created;
}

Result<std::vector<KeyRecord>> ApiKeys::list() {
  TRY_ASSIGN(const auto rows, database_->query(fmt::format("SELECT {} FROM api_keys ORDER BY id", kColumns)));
  std::vector<KeyRecord> records;
  for (const Row& row : rows) records.push_back(record_of(row));
  return records;
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
  std::vector<KeyRecord> records;
  for (const Row& row : rows) records.push_back(record_of(row));
  return records;
}

Result<Identity> ApiKeys::verify(std::string_view secret, int64_t now_s) {
  const Error refused{ErrorCode::kUnauthenticated, "the API key is not known here, or not valid any more"};
  if (secret.size() != kSecretLength || !secret.starts_with(kPrefix)) return refused;
  const std::string hash = sha256(secret);
  // The index look-up is by the hash of what was sent: its timing tells about hashes, from which no key can be found.
  TRY_ASSIGN(const auto rows, database_->query("SELECT id, name, role, hint, created_s, expires_s, disabled_s, hash "
                                               "FROM api_keys WHERE hash = ?",
                                               std::vector<Value>{Blob{hash}}));
  if (rows.empty() || !equal_secrets(storage::as_blob(rows[0].at(7)), hash)) return refused;
  const KeyRecord record = record_of(rows[0]);
  if (!usable(record, now_s)) return refused;
  return Identity{
      .key_id = record.id, .id = fmt::format("key:{}", record.id), .name = record.name, .role = record.role};
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
