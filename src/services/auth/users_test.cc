#include "services/auth/users.h"

#include <set>

#include <gtest/gtest.h>

#include "services/auth/api_keys.h"
#include "services/auth/authenticator.h"

namespace cove::auth {
namespace {

constexpr int64_t kNow = 1'700'000'000;
constexpr PasswordCost kCheap{.passes = 1, .memory_bytes = 8 << 10};
constexpr std::string_view kPassword = "correct horse 电池";

class UsersTest : public ::testing::Test {
 protected:
  UsersTest() : database_(std::move(*storage::Database::open({.path = ":memory:"}))), users_(*database_, kCheap) {}
  UserRecord make(std::string name, Role role = Role::kUser) {
    auto user = users_.create({.name = std::move(name), .role = role, .password = std::string(kPassword)}, kNow);
    EXPECT_TRUE(user) << user.error().message;
    return *user;
  }
  std::unique_ptr<storage::Database> database_;
  Users users_;
};

TEST_F(UsersTest, a_password_signs_in_as_the_user) {
  make("Alice", Role::kOperator);
  const auto identity = users_.sign_in("aLICE", kPassword, kNow + 5);
  ASSERT_TRUE(identity) << identity.error().message;
  EXPECT_EQ(identity->id, "user:alice");
  EXPECT_EQ(identity->role, Role::kOperator);
  EXPECT_EQ(users_.find("alice")->last_login_s, kNow + 5);
}

TEST_F(UsersTest, every_refusal_reads_alike) {
  make("alice");
  make("bob");
  ASSERT_TRUE(users_.set_state("bob", UserState::kDisabled, kNow));
  std::set<std::string> messages;
  for (const auto& [name, password] :
       std::vector<std::pair<std::string, std::string>>{{"alice", "wrong wrong"},
                                                        {"bob", std::string(kPassword)},
                                                        {"nobody", std::string(kPassword)},
                                                        {"", ""},
                                                        {"a'; DROP TABLE users", "x"},
                                                        {"alice", ""},
                                                        {"alice", std::string(kPassword) + " "},
                                                        {"alice", std::string(2000, 'x')},
                                                        {"alice", std::string(kPassword) + std::string(1, '\0')}}) {
    const auto refused = users_.sign_in(name, password, kNow);
    ASSERT_FALSE(refused) << name;
    EXPECT_EQ(refused.error().code, ErrorCode::kUnauthenticated);
    messages.insert(refused.error().message);
  }
  EXPECT_EQ(messages.size(), 1U);
  EXPECT_TRUE(users_.sign_in("alice", kPassword, kNow));
  ASSERT_TRUE(users_.set_state("bob", UserState::kEnabled, kNow));
  EXPECT_TRUE(users_.sign_in("bob", kPassword, kNow));
}

TEST_F(UsersTest, the_database_holds_argon2id_and_never_the_password) {
  make("alice");
  const auto rows = database_->query("SELECT hash FROM users").value();
  EXPECT_TRUE(storage::as_text(rows.at(0).at(0)).starts_with("$argon2id$v=19$"));
  EXPECT_EQ(storage::as_text(rows.at(0).at(0)).find("horse"), std::string::npos);
}

TEST_F(UsersTest, a_hash_of_another_cost_is_renewed_at_sign_in) {
  make("alice");
  Users dearer(*database_, {.passes = 2, .memory_bytes = 16 << 10});
  ASSERT_TRUE(dearer.sign_in("alice", kPassword, kNow));
  const auto rows = database_->query("SELECT hash FROM users").value();
  EXPECT_NE(storage::as_text(rows.at(0).at(0)).find("m=16,t=2"), std::string::npos);
  EXPECT_TRUE(dearer.sign_in("alice", kPassword, kNow));
}

TEST_F(UsersTest, refuses_bad_names_passwords_and_second_users_of_a_name) {
  const auto refused = [&](std::string name, std::string password) {
    const auto user =
        users_.create({.name = std::move(name), .role = Role::kUser, .password = std::move(password)}, kNow);
    return user ? std::string() : user.error().message;
  };
  make("alice");
  EXPECT_NE(refused("ALICE", std::string(kPassword)).find("already"), std::string::npos);
  for (const std::string name : {"", "a b", "a:b", "a|b", "张三", "a/b", "a\n"})
    EXPECT_NE(refused(name, std::string(kPassword)).find("name"), std::string::npos) << name;
  EXPECT_NE(refused(std::string(65, 'a'), std::string(kPassword)), "");
  for (const std::string& password : {std::string(), std::string("short"), std::string(1025, 'x'),
                                      std::string("123456789\xFF"), std::string("1234567890\0a", 12)})
    EXPECT_NE(refused("bob", password).find("password"), std::string::npos);
}

TEST_F(UsersTest, changes_of_unknown_users_say_so) {
  EXPECT_EQ(users_.find("x").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(users_.set_role("x", Role::kAdmin).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(users_.set_password("x", kPassword, kNow).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(users_.set_limits("x", {}).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(users_.set_state("x y", UserState::kDisabled, kNow).error().code, ErrorCode::kNotFound);
}

TEST_F(UsersTest, disabling_and_a_new_password_end_what_was_signed_in) {
  ApiKeys keys(*database_);
  Authenticator authenticator({.keys = &keys, .users = &users_});
  make("alice");
  const Identity before = *users_.sign_in("alice", kPassword, kNow + 1);
  EXPECT_TRUE(authenticator.current(before, kNow + 1));
  ASSERT_TRUE(users_.set_password("alice", "another password", kNow + 2));
  EXPECT_EQ(authenticator.current(before, kNow + 2).error().code, ErrorCode::kUnauthenticated);
  const Identity after = *users_.sign_in("alice", "another password", kNow + 3);
  ASSERT_TRUE(users_.set_role("alice", Role::kAuditor));
  EXPECT_EQ(authenticator.current(after, kNow + 3)->role, Role::kAuditor) << "a new role counts at once";
  ASSERT_TRUE(users_.set_state("alice", UserState::kDisabled, kNow + 4));
  EXPECT_FALSE(authenticator.current(after, kNow + 4));
}

TEST_F(UsersTest, a_users_key_has_the_users_limits_and_ends_with_the_user) {
  ApiKeys keys(*database_);
  make("alice", Role::kOperator);
  ASSERT_TRUE(users_.set_limits("alice", {.tokens_per_day = 7}));
  const auto created = keys.create({.name = "laptop",
                                    .role = Role::kOperator,
                                    .expires_s = {},
                                    .scopes = {"infer"},
                                    .limits = {.requests_per_minute = 3},
                                    .owner = "alice"},
                                   kNow);
  ASSERT_TRUE(created) << created.error().message;
  const Identity identity = *keys.verify(created->secret, kNow);
  EXPECT_EQ(identity.id, "key:1");
  EXPECT_EQ(identity.owner, "user:alice");
  EXPECT_EQ(identity.scopes, Scopes{"infer"});
  EXPECT_EQ(identity.limits.requests_per_minute, 3);
  EXPECT_EQ(identity.owner_limits.tokens_per_day, 7);
  EXPECT_EQ(identity.role, Role::kOperator);
  ASSERT_TRUE(users_.set_role("alice", Role::kUser));
  EXPECT_EQ(keys.verify(created->secret, kNow)->role, Role::kUser) << "never more than the owner";
  ASSERT_TRUE(users_.set_state("alice", UserState::kDisabled, kNow));
  EXPECT_FALSE(keys.verify(created->secret, kNow));
  EXPECT_FALSE(keys.current(1, kNow));
}

TEST_F(UsersTest, a_key_beyond_its_owner_or_of_nobody_is_refused) {
  ApiKeys keys(*database_);
  make("alice");
  EXPECT_EQ(keys.create({.name = "x", .role = Role::kAdmin, .expires_s = {}, .owner = "alice"}, kNow).error().code,
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(keys.create({.name = "x", .role = Role::kUser, .expires_s = {}, .owner = "bob"}, kNow).error().code,
            ErrorCode::kNotFound);
  EXPECT_EQ(keys.create({.name = "x", .role = Role::kUser, .expires_s = {}, .scopes = {"all"}}, kNow).error().code,
            ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace cove::auth
