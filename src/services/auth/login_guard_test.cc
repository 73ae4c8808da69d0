#include "services/auth/login_guard.h"

#include <gtest/gtest.h>

namespace cove::auth {
namespace {

using std::chrono::seconds;

constexpr LoginGuardOptions kOptions{.account_failures = 3, .address_failures = 6, .entries_max = 10};

TEST(LoginGuard, waits_double_after_the_free_failures) {
  LoginGuard guard(kOptions);
  auto now = LoginGuard::Clock::now();
  for (int i = 0; i < 2; ++i) guard.failed("alice", "10.0.0.1", now);
  EXPECT_FALSE(guard.locked("alice", "10.0.0.1", now));
  for (const int64_t wait : {1, 2, 4}) {
    guard.failed("alice", "10.0.0." + std::to_string(wait), now);
    EXPECT_EQ(guard.locked("alice", "10.0.0.9", now), seconds(wait));
    now += seconds(wait);
    EXPECT_FALSE(guard.locked("alice", "10.0.0.9", now));
  }
  EXPECT_FALSE(guard.locked("bob", "10.0.0.9", now)) << "another account from another address";
}

TEST(LoginGuard, an_address_is_locked_for_every_account) {
  LoginGuard guard(kOptions);
  const auto now = LoginGuard::Clock::now();
  for (int i = 0; i < 6; ++i) guard.failed("user" + std::to_string(i), "10.0.0.1", now);
  EXPECT_TRUE(guard.locked("somebody", "10.0.0.1", now));
  EXPECT_TRUE(guard.locked("", "10.0.0.1", now));
  EXPECT_FALSE(guard.locked("somebody", "10.0.0.2", now));
}

TEST(LoginGuard, waits_have_a_maximum_and_are_forgotten) {
  LoginGuard guard(kOptions);
  const auto now = LoginGuard::Clock::now();
  for (int i = 0; i < 100; ++i) guard.failed("alice", "", now);
  EXPECT_EQ(guard.locked("alice", "", now), seconds(900));
  EXPECT_EQ(guard.entries(), 1U);
  EXPECT_FALSE(guard.locked("alice", "", now + seconds(3600)));
  EXPECT_EQ(guard.entries(), 0U);
}

TEST(LoginGuard, success_clears_the_account_but_not_the_address) {
  LoginGuard guard(kOptions);
  const auto now = LoginGuard::Clock::now();
  for (int i = 0; i < 5; ++i) {
    guard.failed("alice", "10.0.0.1", now);
    guard.succeeded("alice");
  }
  EXPECT_FALSE(guard.locked("alice", "10.0.0.1", now));
  guard.failed("alice", "10.0.0.1", now);
  EXPECT_TRUE(guard.locked("alice", "10.0.0.1", now));
  EXPECT_FALSE(guard.locked("alice", "10.0.0.2", now));
}

TEST(LoginGuard, memory_is_bounded) {
  LoginGuard guard(kOptions);
  for (int i = 0; i < 1000; ++i) guard.failed("user" + std::to_string(i), "10.0.0." + std::to_string(i));
  EXPECT_EQ(guard.entries(), 20U);
}

TEST(LoginGuard, zero_turns_a_lock_off) {
  LoginGuard guard({.account_failures = 0, .address_failures = 0});
  for (int i = 0; i < 100; ++i) guard.failed("alice", "10.0.0.1");
  EXPECT_FALSE(guard.locked("alice", "10.0.0.1"));
}

}  // namespace
}  // namespace cove::auth
