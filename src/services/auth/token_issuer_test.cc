#include "services/auth/token_issuer.h"

#include <fstream>

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <boost/json.hpp>

#include "base/file.h"
#include "services/auth/authenticator.h"
#include "services/auth/base64url.h"

namespace cove::auth {
namespace {

constexpr int64_t kNow = 1'800'000'000;
constexpr PasswordCost kCheap{.passes = 1, .memory_bytes = 8 << 10};

class TokenIssuerTest : public ::testing::Test {
 protected:
  TokenIssuerTest()
      : folder_(std::filesystem::temp_directory_path() / ("cove-tokens-" + std::to_string(::getpid()))),
        database_(std::move(*storage::Database::open({.path = ":memory:"}))),
        keys_(*database_),
        users_(*database_, kCheap) {
    std::filesystem::remove_all(folder_);
    issuer_ = open();
  }
  ~TokenIssuerTest() override { std::filesystem::remove_all(folder_); }
  std::filesystem::path path() const { return folder_ / "token_keys.json"; }
  std::unique_ptr<TokenIssuer> open(int64_t now_s = kNow) {
    auto issuer = TokenIssuer::open({.path = path(), .ttl_s = 600}, now_s);
    EXPECT_TRUE(issuer) << issuer.error().message;
    return std::move(*issuer);
  }
  Authenticator authenticator() {
    return Authenticator({.keys = &keys_, .users = &users_, .tokens = issuer_.get(), .foreign = nullptr});
  }
  std::string token_of(const Identity& identity, int64_t now_s = kNow, const Scopes& scopes = {}) {
    return issuer_->issue(identity, scopes, now_s)->token;
  }
  Result<Identity> verify(const std::string& token, int64_t now_s) {
    return authenticator().verify(token, now_s, Waiting::kNo);
  }

  std::filesystem::path folder_;
  std::unique_ptr<storage::Database> database_;
  ApiKeys keys_;
  Users users_;
  std::unique_ptr<TokenIssuer> issuer_;
};

TEST_F(TokenIssuerTest, a_users_token_is_the_user_until_it_expires) {
  const auto user = users_.create({.name = "alice", .role = Role::kOperator, .password = "long enough"}, kNow);
  const std::string token = token_of(identity_of(*user, kNow), kNow, {"infer"});
  const auto identity = verify(token, kNow + 599);
  ASSERT_TRUE(identity) << identity.error().message;
  EXPECT_EQ(identity->id, "user:alice");
  EXPECT_EQ(identity->role, Role::kOperator);
  EXPECT_EQ(identity->scopes, Scopes{"infer"});
  EXPECT_EQ(verify(token, kNow + 600).error().message, "the token has expired");
  ASSERT_TRUE(users_.set_role("alice", Role::kUser));
  EXPECT_EQ(verify(token, kNow + 1)->role, Role::kUser) << "rights are those of today";
  ASSERT_TRUE(users_.set_password("alice", "another password", kNow + 5));
  EXPECT_FALSE(verify(token, kNow + 6)) << "a new password ends tokens";
}

TEST_F(TokenIssuerTest, a_keys_token_ends_with_the_key) {
  const auto key =
      keys_.create({.name = "ci", .role = Role::kUser, .expires_s = kNow + 100, .scopes = {"model:a"}}, kNow);
  const std::string token = token_of(*keys_.verify(key->secret, kNow));
  EXPECT_EQ(verify(token, kNow)->id, "key:1");
  EXPECT_EQ(verify(token, kNow)->scopes, Scopes{"model:a"});
  EXPECT_FALSE(verify(token, kNow + 100)) << "the key has expired";
  ASSERT_TRUE(keys_.revoke("1", kNow + 1));
  EXPECT_FALSE(verify(token, kNow + 1));
}

TEST_F(TokenIssuerTest, subjects_that_are_nobody_are_refused) {
  for (const std::string id : {"key:99", "key:", "key:1x", "user:nobody", "user:", "root", ""})
    EXPECT_FALSE(verify(token_of({.key_id = 0, .id = id, .name = "x"}), kNow)) << id;
}

TEST_F(TokenIssuerTest, the_published_keys_verify_what_was_signed) {
  const std::string token = token_of({.key_id = 1, .id = "key:1", .name = "x"});
  const auto set = KeySet::parse(issuer_->jwks(kNow));
  ASSERT_TRUE(set) << set.error().message;
  const auto parsed = parse_token(token);
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->algorithm, Algorithm::kEs256);
  const VerifyKey* key = set->find(parsed->kid, parsed->algorithm);
  ASSERT_NE(key, nullptr);
  EXPECT_TRUE(key->verify(parsed->algorithm, parsed->signed_text, parsed->signature));
  EXPECT_EQ(issuer_->jwks(kNow).find("private"), std::string::npos);
  EXPECT_EQ(issuer_->jwks(kNow).find("\"d\""), std::string::npos);
}

TEST_F(TokenIssuerTest, rotation_overlaps_and_ends) {
  ASSERT_TRUE(users_.create({.name = "alice", .role = Role::kUser, .password = "long enough"}, kNow));
  const Identity alice{.key_id = 0, .id = "user:alice", .name = "alice"};
  const std::string before = token_of(alice);
  const auto keys = issuer_->rotate(OldKeys::kOverlap, kNow + 10);
  ASSERT_TRUE(keys) << keys.error().message;
  ASSERT_EQ(keys->size(), 2U);
  const std::string after = token_of(alice, kNow + 10);
  EXPECT_NE(parse_token(before)->kid, parse_token(after)->kid);
  EXPECT_TRUE(verify(before, kNow + 20));
  EXPECT_TRUE(verify(after, kNow + 20));
  EXPECT_EQ(KeySet::parse(issuer_->jwks(kNow + 20))->size(), 2U);
  EXPECT_EQ(KeySet::parse(issuer_->jwks(kNow + 10 + 600 + 60))->size(), 1U) << "nothing it signed is valid any more";
  ASSERT_EQ(issuer_->rotate(OldKeys::kDrop, kNow + 30)->size(), 1U);
  EXPECT_FALSE(verify(before, kNow + 31));
  EXPECT_FALSE(verify(after, kNow + 31));
}

TEST_F(TokenIssuerTest, another_program_may_rotate) {
  ASSERT_TRUE(users_.create({.name = "alice", .role = Role::kUser, .password = "long enough"}, kNow));
  const Identity alice{.key_id = 0, .id = "user:alice", .name = "alice"};
  const std::string before = token_of(alice);
  const auto command = open(kNow + 1);
  ASSERT_TRUE(command->rotate(OldKeys::kOverlap, kNow + 1));
  const std::string after = token_of(alice, kNow + 2);
  EXPECT_NE(parse_token(before)->kid, parse_token(after)->kid) << "the running server signs with the new key";
  EXPECT_TRUE(verify(before, kNow + 2));
}

TEST_F(TokenIssuerTest, keys_survive_a_restart_and_are_private) {
  ASSERT_TRUE(users_.create({.name = "alice", .role = Role::kUser, .password = "long enough"}, kNow));
  const std::string token = token_of({.key_id = 0, .id = "user:alice", .name = "alice"});
  issuer_ = open(kNow + 1);
  EXPECT_TRUE(verify(token, kNow + 2));
  struct stat info{};
  ASSERT_EQ(::stat(path().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
  ASSERT_EQ(::chmod(path().c_str(), 0644), 0);
  EXPECT_EQ(TokenIssuer::open({.path = path()}, kNow).error().code, ErrorCode::kFailedPrecondition);
}

TEST_F(TokenIssuerTest, a_damaged_file_is_refused_and_never_replaced) {
  for (const std::string_view text :
       {"", "{}", "{\"keys\":[]}", "{\"keys\":[{\"created_s\":1,\"private_key\":\"x\"}]}"}) {
    ASSERT_TRUE(write_file_atomic(path(), text, 0600));
    EXPECT_EQ(TokenIssuer::open({.path = path()}, kNow).error().code, ErrorCode::kDataCorrupt) << text;
    EXPECT_EQ(read_file(path()).value(), text);
  }
}

TEST_F(TokenIssuerTest, a_running_issuer_keeps_its_keys_when_the_file_breaks) {
  ASSERT_TRUE(users_.create({.name = "alice", .role = Role::kUser, .password = "long enough"}, kNow));
  const std::string token = token_of({.key_id = 0, .id = "user:alice", .name = "alice"});
  ASSERT_TRUE(write_file_atomic(path(), "broken", 0600));
  EXPECT_TRUE(verify(token, kNow + 5));
}

TEST_F(TokenIssuerTest, tokens_of_others_in_our_name_are_refused) {
  const auto other = TokenIssuer::open({.path = folder_ / "other.json", .ttl_s = 600}, kNow);
  ASSERT_TRUE(users_.create({.name = "alice", .role = Role::kAdmin, .password = "long enough"}, kNow));
  const Identity alice{.key_id = 0, .id = "user:alice", .name = "alice"};
  const std::string forged = (*other)->issue(alice, {}, kNow)->token;
  EXPECT_FALSE(verify(forged, kNow));
  // Its body under the header of an honest token, and the reverse.
  const std::string honest = token_of(alice);
  EXPECT_FALSE(verify(honest.substr(0, honest.find('.')) + forged.substr(forged.find('.')), kNow));
  EXPECT_FALSE(verify(forged.substr(0, forged.rfind('.')) + honest.substr(honest.rfind('.')), kNow));
}

}  // namespace
}  // namespace cove::auth
