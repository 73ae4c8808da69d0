#include "storage/migrations.h"

namespace cove::storage {
namespace {

constexpr std::string_view kSteps[] = {
    // 1: API keys. `hash` is SHA-256 of the whole key; times are Unix seconds; NULL = never.
    R"(CREATE TABLE api_keys (
         id INTEGER PRIMARY KEY AUTOINCREMENT,
         name TEXT NOT NULL,
         role TEXT NOT NULL CHECK (role IN ('admin', 'user')),
         hash BLOB NOT NULL UNIQUE,
         hint TEXT NOT NULL,
         created_s INTEGER NOT NULL,
         expires_s INTEGER,
         disabled_s INTEGER
       ) STRICT)",
    // 2: users. `hash` is Argon2id in its text form; `limits` is a JSON object of what differs from the configuration.
    R"(CREATE TABLE users (
         id INTEGER PRIMARY KEY AUTOINCREMENT,
         name TEXT NOT NULL UNIQUE,
         role TEXT NOT NULL CHECK (role IN ('admin', 'operator', 'user', 'auditor')),
         hash TEXT NOT NULL,
         created_s INTEGER NOT NULL,
         disabled_s INTEGER,
         password_changed_s INTEGER NOT NULL,
         last_login_s INTEGER,
         limits TEXT NOT NULL DEFAULT '{}'
       ) STRICT)",
    // 3 to 6: API keys get two more roles, scopes (separated by spaces), limits and an owner. SQLite cannot change a
    // CHECK, so the table is made anew.
    R"(CREATE TABLE api_keys_new (
         id INTEGER PRIMARY KEY AUTOINCREMENT,
         name TEXT NOT NULL,
         role TEXT NOT NULL CHECK (role IN ('admin', 'operator', 'user', 'auditor')),
         hash BLOB NOT NULL UNIQUE,
         hint TEXT NOT NULL,
         created_s INTEGER NOT NULL,
         expires_s INTEGER,
         disabled_s INTEGER,
         scopes TEXT NOT NULL DEFAULT '',
         limits TEXT NOT NULL DEFAULT '{}',
         user_id INTEGER REFERENCES users (id)
       ) STRICT)",
    R"(INSERT INTO api_keys_new (id, name, role, hash, hint, created_s, expires_s, disabled_s)
         SELECT id, name, role, hash, hint, created_s, expires_s, disabled_s FROM api_keys)",
    "DROP TABLE api_keys",
    "ALTER TABLE api_keys_new RENAME TO api_keys",
    // 7: what each identity used, by day (days since 1970, UTC): daily limits survive a restart.
    R"(CREATE TABLE usage_days (
         subject TEXT NOT NULL,
         day INTEGER NOT NULL,
         requests INTEGER NOT NULL,
         tokens INTEGER NOT NULL,
         PRIMARY KEY (subject, day)
       ) STRICT, WITHOUT ROWID)",
};

}  // namespace

std::span<const std::string_view> migrations() { return kSteps; }

}  // namespace cove::storage
