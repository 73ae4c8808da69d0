#pragma once
// The database of one installation: SQLite in WAL mode. A thin face over prepared statements; SQL lives in services/,
// tables are made by migrations (migrations.h). One connection, guarded by a mutex: statements are short and indexed,
// readers never wait for another process's writer, and a writer waits at most busy_timeout_ms.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"

struct sqlite3;
struct sqlite3_stmt;

namespace cove::storage {

struct Null {};
struct Blob {
  std::string bytes;
};
using Value = std::variant<Null, int64_t, double, std::string, Blob>;
using Row = std::vector<Value>;

struct DatabaseOptions {
  std::filesystem::path path;  // its folder is made when missing; ":memory:" for tests
  int busy_timeout_ms = 5000;
};

class Database {
 public:
  // Opens or creates, and applies the migrations that are missing. Errors: kIo, kDataCorrupt (not a database, or of a
  // newer Cove).
  static Result<std::unique_ptr<Database>> open(const DatabaseOptions& options);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  // One statement with `?` parameters; returns all rows. Any thread.
  Result<std::vector<Row>> query(std::string_view sql, std::span<const Value> parameters = {});
  // As query, for statements without rows; returns the number of changed rows.
  Result<int64_t> execute(std::string_view sql, std::span<const Value> parameters = {});
  // Runs `work` in one transaction (BEGIN IMMEDIATE); an error rolls back. `work` may call query and execute.
  Status transaction(const std::function<Status()>& work);

 private:
  explicit Database(sqlite3* handle) : handle_(handle) {}
  Result<sqlite3_stmt*> prepare(std::string_view sql);
  Error error(std::string_view doing) const;

  sqlite3* handle_;
  std::recursive_mutex mutex_;  // guards the connection and the statement cache; recursive for transaction()
  std::vector<std::pair<std::string, sqlite3_stmt*>> statements_;  // prepared once; a handful
};

// Accessors for rows whose types the schema fixes (a mismatch is a bug).
int64_t as_integer(const Value& value);
const std::string& as_text(const Value& value);
const std::string& as_blob(const Value& value);
std::optional<int64_t> as_optional_integer(const Value& value);

}  // namespace cove::storage
