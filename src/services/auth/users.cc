#include "services/auth/users.h"

#include <algorithm>

#include <fmt/format.h>
#include <boost/json/serialize.hpp>

#include "base/log.h"

namespace cove::auth {
namespace {

using storage::Null;
using storage::Row;
using storage::Value;

constexpr size_t kNameBytesMax = 64;
constexpr std::string_view kColumns = "id, name, role, created_s, disabled_s, password_changed_s, last_login_s, limits";

Result<UserRecord> record_of(const Row& row) {
  UserRecord record;
  record.id = storage::as_integer(row.at(0));
  record.name = storage::as_text(row.at(1));
  TRY_ASSIGN(record.role, parse_role(storage::as_text(row.at(2))));
  record.created_s = storage::as_integer(row.at(3));
  record.disabled_s = storage::as_optional_integer(row.at(4));
  record.password_changed_s = storage::as_integer(row.at(5));
  record.last_login_s = storage::as_optional_integer(row.at(6));
  TRY_ASSIGN(const json::value limits, parse_json(storage::as_text(row.at(7))));
  TRY_ASSIGN(record.limits, limits_from_json(limits));
  return record;
}

Error no_such_user(std::string_view name) {
  return {ErrorCode::kNotFound, fmt::format("there is no user '{}'; 'cove user list' shows all", name)};
}

Result<UserRecord> only_one(const Result<std::vector<Row>>& rows, std::string_view name) {
  if (!rows) return rows.error();
  if (rows->empty()) return no_such_user(name);
  return record_of(rows->at(0));
}

// Verified when there is no such user, so that an answer takes as long as for a real one.
const std::string& nobodys_hash(const PasswordCost& cost) {
  static const std::string kHash = hash_password("a password that nobody has", cost).value_or("");
  return kHash;
}

}  // namespace

Result<std::string> user_name(std::string_view text) {
  std::string name(text);
  for (char& c : name) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  constexpr std::string_view kAllowed = "abcdefghijklmnopqrstuvwxyz0123456789._-@";
  if (name.empty() || name.size() > kNameBytesMax || name.find_first_not_of(kAllowed) != std::string::npos)
    return invalid_argument(fmt::format("a user's name is 1 to {} of the characters a-z 0-9 . _ - @", kNameBytesMax));
  return name;
}

Identity identity_of(const UserRecord& user, int64_t now_s) {
  return {.key_id = 0,
          .id = "user:" + user.name,
          .name = user.name,
          .role = user.role,
          .limits = user.limits,
          .since_s = now_s};
}

Result<UserRecord> Users::create(const NewUser& user, int64_t now_s) {
  TRY_ASSIGN(const std::string name, user_name(user.name));
  TRY_ASSIGN(const std::string hash, hash_password(user.password, cost_));
  const std::vector<Value> values = {name,  std::string(to_string(user.role)),         hash,
                                     now_s, json::serialize(limits_json(user.limits)), now_s};
  TRY_ASSIGN(const auto rows,
             database_->query(fmt::format("INSERT INTO users (name, role, hash, created_s, limits, password_changed_s) "
                                          "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO NOTHING RETURNING {}",
                                          kColumns),
                              values));
  if (rows.empty()) return invalid_argument(fmt::format("there is a user '{}' already", name));
  return record_of(rows[0]);
}

Result<std::vector<UserRecord>> Users::list() {
  TRY_ASSIGN(const auto rows, database_->query(fmt::format("SELECT {} FROM users ORDER BY name", kColumns)));
  std::vector<UserRecord> records;
  for (const Row& row : rows) {
    TRY_ASSIGN(UserRecord record, record_of(row));
    records.push_back(std::move(record));
  }
  return records;
}

Result<UserRecord> Users::find(std::string_view name) {
  const auto folded = user_name(name);
  if (!folded) return no_such_user(name);
  return only_one(
      database_->query(fmt::format("SELECT {} FROM users WHERE name = ?", kColumns), std::vector<Value>{*folded}),
      name);
}

Result<UserRecord> Users::set_state(std::string_view name, UserState state, int64_t now_s) {
  const auto folded = user_name(name);
  if (!folded) return no_such_user(name);
  std::vector<Value> values{Null{}, *folded};
  if (state == UserState::kDisabled) values[0] = now_s;
  const std::string_view sql = state == UserState::kDisabled
                                   ? "UPDATE users SET disabled_s = coalesce(disabled_s, ?) WHERE name = ? RETURNING {}"
                                   : "UPDATE users SET disabled_s = ? WHERE name = ? RETURNING {}";
  return only_one(database_->query(fmt::format(fmt::runtime(sql), kColumns), values), name);
}

Result<UserRecord> Users::set_password(std::string_view name, std::string_view password, int64_t now_s) {
  TRY_ASSIGN(const UserRecord user, find(name));
  TRY_ASSIGN(const std::string hash, hash_password(password, cost_));
  return only_one(
      database_->query(
          fmt::format("UPDATE users SET hash = ?, password_changed_s = ? WHERE id = ? RETURNING {}", kColumns),
          std::vector<Value>{hash, now_s, user.id}),
      name);
}

Result<UserRecord> Users::set_role(std::string_view name, Role role) {
  TRY_ASSIGN(const UserRecord user, find(name));
  return only_one(database_->query(fmt::format("UPDATE users SET role = ? WHERE id = ? RETURNING {}", kColumns),
                                   std::vector<Value>{std::string(to_string(role)), user.id}),
                  name);
}

Result<UserRecord> Users::set_limits(std::string_view name, const LimitOverrides& limits) {
  TRY_ASSIGN(const UserRecord user, find(name));
  return only_one(database_->query(fmt::format("UPDATE users SET limits = ? WHERE id = ? RETURNING {}", kColumns),
                                   std::vector<Value>{json::serialize(limits_json(limits)), user.id}),
                  name);
}

Result<Identity> Users::sign_in(std::string_view name, std::string_view password, int64_t now_s) {
  const Error refused{ErrorCode::kUnauthenticated,
                      "the user name or the password is wrong, or the account is disabled"};
  const auto folded = user_name(name);
  TRY_ASSIGN(const auto rows, database_->query(fmt::format("SELECT {}, hash FROM users WHERE name = ?", kColumns),
                                               std::vector<Value>{folded ? *folded : std::string()}));
  const std::string& hash = rows.empty() ? nobodys_hash(cost_) : storage::as_text(rows[0].back());
  const bool matches = password_matches(password, hash);
  if (rows.empty() || !matches) return refused;
  TRY_ASSIGN(const UserRecord user, record_of(rows[0]));
  if (user.disabled_s) return refused;
  TRY(database_->execute("UPDATE users SET last_login_s = ? WHERE id = ?", std::vector<Value>{now_s, user.id}));
  if (needs_rehash(hash, cost_)) {
    // The cost was raised since; a failure only means that it happens at the next sign-in.
    if (const auto better = hash_password(password, cost_); better) {
      TRY(database_->execute("UPDATE users SET hash = ? WHERE id = ?", std::vector<Value>{*better, user.id}));
    }
  }
  return identity_of(user, now_s);
}

}  // namespace cove::auth
