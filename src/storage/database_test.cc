#include "storage/database.h"

#include <fstream>

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "storage/migrations.h"

namespace cove::storage {
namespace {

class DatabaseTest : public ::testing::Test {
 protected:
  DatabaseTest() {
    folder_ = std::filesystem::temp_directory_path() / ("cove-db-" + std::to_string(::getpid()));
    std::filesystem::remove_all(folder_);
  }
  ~DatabaseTest() override { std::filesystem::remove_all(folder_); }
  std::filesystem::path path() const { return folder_ / "deep" / "cove.db"; }
  std::filesystem::path folder_;
};

std::unique_ptr<Database> open_or_die(const std::filesystem::path& path) {
  auto database = Database::open({.path = path});
  EXPECT_TRUE(database) << database.error().message;
  return std::move(*database);
}

TEST_F(DatabaseTest, values_of_every_type_round_trip) {
  const auto database = open_or_die(":memory:");
  ASSERT_TRUE(database->execute("CREATE TABLE t (a, b, c, d, e)"));
  const std::vector<Value> row = {int64_t{-5}, 2.5, std::string("q'\"\0x", 5), Blob{std::string("\0\xFF", 2)}, Null{}};
  ASSERT_EQ(database->execute("INSERT INTO t VALUES (?, ?, ?, ?, ?)", row).value(), 1);
  const auto rows = database->query("SELECT * FROM t").value();
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(as_integer(rows[0][0]), -5);
  EXPECT_EQ(as_text(rows[0][2]), std::string("q'\"\0x", 5));
  EXPECT_EQ(as_blob(rows[0][3]), std::string("\0\xFF", 2));
  EXPECT_FALSE(as_optional_integer(rows[0][4]).has_value());
}

TEST_F(DatabaseTest, file_is_private_and_survives_reopening) {
  {
    const auto database = open_or_die(path());
    ASSERT_TRUE(database->execute("CREATE TABLE t (a)"));
  }
  struct stat info{};
  ASSERT_EQ(::stat(path().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
  EXPECT_TRUE(open_or_die(path())->query("SELECT * FROM t"));
}

TEST_F(DatabaseTest, failed_transaction_leaves_nothing) {
  const auto database = open_or_die(":memory:");
  ASSERT_TRUE(database->execute("CREATE TABLE t (a)"));
  const Status status = database->transaction([&]() -> Status {
    TRY(database->execute("INSERT INTO t VALUES (1)"));
    return invalid_argument("no");
  });
  EXPECT_EQ(status.error().message, "no");
  EXPECT_TRUE(database->query("SELECT * FROM t").value().empty());
}

TEST_F(DatabaseTest, refuses_what_is_no_database_and_what_is_newer) {
  std::filesystem::create_directories(path().parent_path());
  std::ofstream(path())
      << "this is not a database, but a text that is long enough to be looked at as one, page by page";
  EXPECT_EQ(Database::open({.path = path()}).error().code, ErrorCode::kDataCorrupt);
  std::filesystem::remove(path());
  ASSERT_TRUE(open_or_die(path())->execute("PRAGMA user_version = 999"));
  EXPECT_NE(Database::open({.path = path()}).error().message.find("newer Cove"), std::string::npos);
}

TEST_F(DatabaseTest, two_connections_write_in_turn) {
  const auto a = open_or_die(path());
  const auto b = open_or_die(path());
  ASSERT_TRUE(a->execute("CREATE TABLE t (a)"));
  ASSERT_TRUE(b->execute("INSERT INTO t VALUES (1)"));
  EXPECT_EQ(a->query("SELECT * FROM t").value().size(), 1U);
}

TEST_F(DatabaseTest, keys_of_the_first_schema_survive_the_migrations) {
  std::filesystem::create_directories(path().parent_path());
  {
    const auto database = open_or_die(path());
    // Back to the schema of version 1, with two keys in it.
    for (const char* sql :
         {"DROP TABLE api_keys", "DROP TABLE users", "DROP TABLE usage_days", "PRAGMA user_version = 1"})
      ASSERT_TRUE(database->execute(sql)) << sql;
    ASSERT_TRUE(database->execute(migrations()[0]));
    for (const char* sql : {"INSERT INTO api_keys VALUES (3, 'a', 'admin', x'01', 'h', 10, NULL, NULL)",
                            "INSERT INTO api_keys VALUES (7, 'b', 'user', x'02', 'h', 11, 12, 13)"}) {
      ASSERT_TRUE(database->execute(sql)) << sql;
    }
  }
  const auto database = open_or_die(path());
  const auto rows =
      database->query("SELECT id, name, role, expires_s, scopes, limits FROM api_keys ORDER BY id").value();
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(as_integer(rows[1][0]), 7);
  EXPECT_EQ(as_text(rows[0][2]), "admin");
  EXPECT_EQ(as_optional_integer(rows[1][3]), 12);
  EXPECT_EQ(as_text(rows[1][4]), "");
  EXPECT_EQ(as_text(rows[1][5]), "{}");
  ASSERT_TRUE(database->execute(
      "INSERT INTO api_keys (name, role, hash, hint, created_s) VALUES ('c', 'auditor', x'03', 'h', 1)"));
  EXPECT_EQ(as_integer(database->query("SELECT max(id) FROM api_keys").value()[0][0]), 8) << "ids are never reused";
}

TEST_F(DatabaseTest, wrong_sql_is_an_error_not_a_crash) {
  EXPECT_EQ(open_or_die(":memory:")->query("SELEC").error().code, ErrorCode::kIo);
}

}  // namespace
}  // namespace cove::storage
