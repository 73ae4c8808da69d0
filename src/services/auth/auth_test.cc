#include <set>

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/file.h"
#include "services/auth/api_keys.h"
#include "services/auth/random_token.h"
#include "services/auth/sessions.h"

namespace cove::auth {
namespace {

constexpr int64_t kNow = 1'700'000'000;

class ApiKeysTest : public ::testing::Test {
 protected:
  ApiKeysTest() : database_(std::move(*storage::Database::open({.path = ":memory:"}))), keys_(*database_) {}
  CreatedKey make(NewKey key) { return std::move(*keys_.create(key, kNow)); }
  std::unique_ptr<storage::Database> database_;
  ApiKeys keys_;
};

TEST_F(ApiKeysTest, a_new_key_identifies_its_owner) {
  const CreatedKey key = make({.name = "张三", .role = Role::kUser, .expires_s = {}});
  EXPECT_EQ(key.secret.size(), 51U);
  EXPECT_TRUE(key.secret.starts_with("sk-cove-"));
  const auto identity = keys_.verify(key.secret, kNow);
  ASSERT_TRUE(identity);
  EXPECT_EQ(identity->name, "张三");
  EXPECT_EQ(identity->role, Role::kUser);
}

TEST_F(ApiKeysTest, the_database_never_holds_the_key) {
  const CreatedKey key = make({.name = "a", .role = Role::kAdmin, .expires_s = {}});
  const auto rows = database_->query("SELECT name, role, hint, hex(hash) FROM api_keys").value();
  for (const auto& row : rows) {
    for (const auto& value : row) EXPECT_EQ(storage::as_text(value).find(key.secret.substr(12, 20)), std::string::npos);
  }
}

TEST_F(ApiKeysTest, wrong_revoked_and_expired_keys_are_refused_alike) {
  const CreatedKey revoked = make({.name = "revoked", .role = Role::kUser, .expires_s = {}});
  const CreatedKey expired = make({.name = "expired", .role = Role::kUser, .expires_s = kNow + 10});
  EXPECT_TRUE(keys_.verify(expired.secret, kNow + 9));
  ASSERT_TRUE(keys_.revoke("revoked", kNow));
  std::string wrong = expired.secret;
  wrong.back() = wrong.back() == 'A' ? 'B' : 'A';
  std::set<std::string> messages;
  for (const std::string& secret : {revoked.secret, expired.secret, wrong, std::string(), std::string("sk-cove-"),
                                    std::string(1000, 'a'), expired.secret + "A"}) {
    const auto refused = keys_.verify(secret, kNow + 10);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kUnauthenticated);
    messages.insert(refused.error().message);
  }
  EXPECT_EQ(messages.size(), 1U);
}

TEST_F(ApiKeysTest, revokes_by_id_or_name_and_says_when_there_is_none) {
  const CreatedKey key = make({.name = "x", .role = Role::kUser, .expires_s = {}});
  EXPECT_EQ(keys_.revoke(std::to_string(key.record.id), kNow + 5).value().at(0).disabled_s, kNow + 5);
  EXPECT_EQ(keys_.revoke("x", kNow + 9).value().at(0).disabled_s, kNow + 5) << "the first time stays";
  EXPECT_EQ(keys_.revoke("nobody", kNow).error().code, ErrorCode::kNotFound);
}

TEST_F(ApiKeysTest, refuses_bad_names_and_past_expiry) {
  EXPECT_FALSE(keys_.create({.name = "", .role = Role::kUser, .expires_s = {}}, kNow));
  EXPECT_FALSE(keys_.create({.name = "a\nb", .role = Role::kUser, .expires_s = {}}, kNow));
  EXPECT_FALSE(keys_.create({.name = "a", .role = Role::kUser, .expires_s = kNow}, kNow));
}

TEST_F(ApiKeysTest, the_admin_key_is_made_once_and_private) {
  const auto path = std::filesystem::temp_directory_path() / ("cove-admin-" + std::to_string(::getpid()));
  const auto made = ensure_admin_key(keys_, path, kNow);
  ASSERT_TRUE(made && *made);
  EXPECT_EQ(read_file(path).value(), **made + "\n");
  struct stat info{};
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
  EXPECT_EQ(ensure_admin_key(keys_, path, kNow).value(), std::nullopt);
  ASSERT_TRUE(keys_.revoke("admin", kNow));
  EXPECT_TRUE(ensure_admin_key(keys_, path, kNow).value().has_value()) << "no usable admin key is left: a new one";
  std::filesystem::remove(path);
}

TEST(Sessions, a_code_works_once_and_not_for_ever) {
  Sessions sessions;
  const auto now = Sessions::Clock::now();
  const std::string code =
      sessions.create_code({.key_id = 1, .id = "key:1", .name = "admin", .role = Role::kAdmin}, now);
  const auto session = sessions.redeem_code(code, now);
  ASSERT_TRUE(session);
  EXPECT_FALSE(sessions.redeem_code(code, now));
  EXPECT_EQ(sessions.find(*session, now)->name, "admin");
  EXPECT_FALSE(sessions.find(*session, now + std::chrono::hours(13)));
  EXPECT_FALSE(sessions.find("x", now));
  sessions.end(*session);
  EXPECT_FALSE(sessions.find(*session, now));
  const std::string late = sessions.create_code({}, now);
  EXPECT_FALSE(sessions.redeem_code(late, now + std::chrono::minutes(16)));
}

TEST(Sessions, their_number_is_bounded) {
  Sessions sessions({.sessions_max = 3});
  for (int i = 0; i < 10; ++i) (void)sessions.create_session({});
  EXPECT_EQ(sessions.size(), 3U);
}

TEST(RandomToken, is_long_random_and_url_safe) {
  std::set<std::string> seen;
  for (int i = 0; i < 100; ++i) {
    const std::string token = random_token(32);
    EXPECT_EQ(token.size(), 43U);
    EXPECT_EQ(token.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"),
              std::string::npos);
    seen.insert(token);
  }
  EXPECT_EQ(seen.size(), 100U);
  EXPECT_TRUE(equal_secrets("abc", "abc"));
  EXPECT_FALSE(equal_secrets("abc", "abd"));
  EXPECT_FALSE(equal_secrets("abc", "ab"));
}

}  // namespace
}  // namespace cove::auth
