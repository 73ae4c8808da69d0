#include "storage/database.h"

#include <fmt/format.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include "base/check.h"
#include "storage/migrations.h"

namespace cove::storage {
namespace {

// Gives the statement back to the cache in a fresh state, whatever happened.
struct StatementReset {
  sqlite3_stmt* statement;
  ~StatementReset() {
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
  }
};

int bind(sqlite3_stmt* statement, int index, const Value& value) {
  if (const auto* integer = std::get_if<int64_t>(&value)) return sqlite3_bind_int64(statement, index, *integer);
  if (const auto* number = std::get_if<double>(&value)) return sqlite3_bind_double(statement, index, *number);
  if (const auto* text = std::get_if<std::string>(&value)) {
    return sqlite3_bind_text64(statement, index, text->data(), text->size(), SQLITE_TRANSIENT, SQLITE_UTF8);
  }
  if (const auto* blob = std::get_if<Blob>(&value)) {
    return sqlite3_bind_blob64(statement, index, blob->bytes.data(), blob->bytes.size(), SQLITE_TRANSIENT);
  }
  return sqlite3_bind_null(statement, index);
}

Value column(sqlite3_stmt* statement, int index) {
  const auto bytes = [&](const void* data) {
    const auto size = static_cast<size_t>(sqlite3_column_bytes(statement, index));
    return data == nullptr ? std::string() : std::string(static_cast<const char*>(data), size);
  };
  switch (sqlite3_column_type(statement, index)) {
    case SQLITE_INTEGER: return static_cast<int64_t>(sqlite3_column_int64(statement, index));
    case SQLITE_FLOAT: return sqlite3_column_double(statement, index);
    case SQLITE_TEXT: return bytes(sqlite3_column_text(statement, index));
    case SQLITE_BLOB: return Blob{bytes(sqlite3_column_blob(statement, index))};
    default: return Null{};
  }
}

Status migrate(Database& database) {
  return database.transaction([&]() -> Status {
    TRY_ASSIGN(const auto rows, database.query("PRAGMA user_version"));
    const int64_t applied = as_integer(rows.at(0).at(0));
    const auto steps = migrations();
    const auto known = static_cast<int64_t>(steps.size());
    if (applied > known) {
      return data_corrupt(
          fmt::format("its schema is version {} but this Cove knows {}: use a newer Cove", applied, known));
    }
    for (int64_t step = applied; step < known; ++step) {
      TRY(database.execute(steps[static_cast<size_t>(step)]));
      TRY(database.execute(fmt::format("PRAGMA user_version = {}", step + 1)));
    }
    return {};
  });
}

// Database files hold hashes and names: readable by the owner only.
Status create_private_file(const std::filesystem::path& path) {
  std::error_code error;
  if (path.has_parent_path()) std::filesystem::create_directories(path.parent_path(), error);
  if (error)
    return Error{ErrorCode::kIo, fmt::format("{}: cannot create the folder: {}", path.string(), error.message())};
  const mode_t mask = ::umask(0077);
  if (std::FILE* file = std::fopen(path.c_str(), "ab")) std::fclose(file);
  ::umask(mask);
  return {};
}

}  // namespace

Result<std::unique_ptr<Database>> Database::open(const DatabaseOptions& options) {
  const bool in_memory = options.path == ":memory:";
  if (!in_memory) TRY(create_private_file(options.path));
  sqlite3* handle = nullptr;
  const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_FULLMUTEX;
  const int code = sqlite3_open_v2(options.path.c_str(), &handle, flags, nullptr);
  std::unique_ptr<Database> database(new Database(handle));
  if (code != SQLITE_OK) {
    return Error{ErrorCode::kIo, fmt::format("{}: {}", options.path.string(), sqlite3_errstr(code))};
  }
  sqlite3_busy_timeout(handle, options.busy_timeout_ms);
  for (const char* pragma : {"PRAGMA journal_mode = WAL", "PRAGMA synchronous = NORMAL", "PRAGMA foreign_keys = ON",
                             "PRAGMA trusted_schema = OFF"}) {
    auto done = database->query(pragma);
    if (!done) return with_context(done.error(), options.path.string());
  }
  auto migrated = migrate(*database);
  if (!migrated) return with_context(migrated.error(), options.path.string());
  return database;
}

Database::~Database() {
  for (const auto& [sql, statement] : statements_) sqlite3_finalize(statement);
  sqlite3_close(handle_);
}

Error Database::error(std::string_view doing) const {
  const int code = sqlite3_errcode(handle_) & 0xFF;
  const bool damaged = code == SQLITE_NOTADB || code == SQLITE_CORRUPT;
  return {damaged ? ErrorCode::kDataCorrupt : ErrorCode::kIo,
          fmt::format("database: {}: {}", doing, sqlite3_errmsg(handle_))};
}

Result<sqlite3_stmt*> Database::prepare(std::string_view sql) {
  for (const auto& [text, statement] : statements_) {
    if (text == sql) return statement;
  }
  sqlite3_stmt* statement = nullptr;
  if (sqlite3_prepare_v2(handle_, sql.data(), static_cast<int>(sql.size()), &statement, nullptr) != SQLITE_OK) {
    return error("prepare");
  }
  statements_.emplace_back(sql, statement);
  return statement;
}

Result<std::vector<Row>> Database::query(std::string_view sql, std::span<const Value> parameters) {
  const std::lock_guard lock(mutex_);
  TRY_ASSIGN(sqlite3_stmt * statement, prepare(sql));
  const StatementReset reset{statement};
  for (size_t i = 0; i < parameters.size(); ++i) {
    if (bind(statement, static_cast<int>(i + 1), parameters[i]) != SQLITE_OK) return error("bind");
  }
  std::vector<Row> rows;
  for (;;) {
    const int code = sqlite3_step(statement);
    if (code == SQLITE_DONE) return rows;
    if (code != SQLITE_ROW) return error("run");
    Row row;
    for (int i = 0; i < sqlite3_column_count(statement); ++i) row.push_back(column(statement, i));
    rows.push_back(std::move(row));
  }
}

Result<int64_t> Database::execute(std::string_view sql, std::span<const Value> parameters) {
  const std::lock_guard lock(mutex_);
  TRY(query(sql, parameters));
  return static_cast<int64_t>(sqlite3_changes64(handle_));
}

Status Database::transaction(const std::function<Status()>& work) {
  const std::lock_guard lock(mutex_);
  TRY(execute("BEGIN IMMEDIATE"));
  Status done = work();
  if (done) {
    auto committed = execute("COMMIT");
    if (committed) return {};
    done = committed.error();
  }
  if (auto undone = execute("ROLLBACK"); !undone) return undone.error();
  return done;
}

int64_t as_integer(const Value& value) {
  COVE_CHECK(std::holds_alternative<int64_t>(value));
  return std::get<int64_t>(value);
}
const std::string& as_text(const Value& value) {
  COVE_CHECK(std::holds_alternative<std::string>(value));
  return std::get<std::string>(value);
}
const std::string& as_blob(const Value& value) {
  COVE_CHECK(std::holds_alternative<Blob>(value));
  return std::get<Blob>(value).bytes;
}
std::optional<int64_t> as_optional_integer(const Value& value) {
  if (std::holds_alternative<Null>(value)) return std::nullopt;
  return as_integer(value);
}

}  // namespace cove::storage
