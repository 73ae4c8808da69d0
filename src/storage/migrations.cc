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
};

}  // namespace

std::span<const std::string_view> migrations() { return kSteps; }

}  // namespace cove::storage
