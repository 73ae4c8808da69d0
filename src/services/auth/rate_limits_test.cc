#include "services/auth/rate_limits.h"

#include <atomic>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace cove::auth {
namespace {

constexpr int64_t kDay = 86'400;

class RateLimitsTest : public ::testing::Test {
 protected:
  RateLimitsTest() : database_(std::move(*storage::Database::open({.path = ":memory:"}))) {}
  // Far ahead: days long ago are not kept.
  static Moment at(int64_t second) { return {.second = 1000 + second, .unix_s = 30'000 * kDay + 1000 + second}; }
  static Identity key(std::string id, const LimitOverrides& limits = {}) {
    return {.key_id = 1, .id = std::move(id), .name = "k", .limits = limits};
  }
  std::unique_ptr<storage::Database> database_;
};

TEST_F(RateLimitsTest, never_more_than_the_limit_in_any_sixty_seconds) {
  RateLimits limits(*database_, {.defaults = {.requests_per_minute = 5}});
  const Identity id = key("key:1");
  std::vector<int64_t> admitted;
  for (int64_t second = 0; second < 600; second += 7) {
    for (int i = 0; i < 2; ++i) {
      if (limits.admit(id, at(second)).admitted) admitted.push_back(second);
    }
  }
  EXPECT_GE(admitted.size(), 40U);
  for (size_t i = 5; i < admitted.size(); ++i) EXPECT_GT(admitted[i] - admitted[i - 5], 60);
}

TEST_F(RateLimitsTest, a_refusal_says_when_to_come_back_and_keeps_its_word) {
  RateLimits limits(*database_, {.defaults = {.requests_per_minute = 2}});
  const Identity id = key("key:1");
  EXPECT_TRUE(limits.admit(id, at(0)).admitted);
  EXPECT_TRUE(limits.admit(id, at(10)).admitted);
  const Admission refused = limits.admit(id, at(20));
  EXPECT_FALSE(refused.admitted);
  EXPECT_EQ(refused.limit, "requests_per_minute");
  EXPECT_EQ(refused.limit_value, 2);
  EXPECT_EQ(refused.retry_after_s, 41);
  EXPECT_FALSE(limits.admit(id, at(20 + refused.retry_after_s - 1)).admitted);
  EXPECT_TRUE(limits.admit(id, at(20 + refused.retry_after_s)).admitted);
}

TEST_F(RateLimitsTest, tells_what_is_left) {
  RateLimits limits(*database_, {.defaults = {.requests_per_minute = 3, .tokens_per_minute = 100}});
  const Identity id = key("key:1");
  Admission admission = limits.admit(id, at(0));
  EXPECT_EQ(admission.requests->limit, 3);
  EXPECT_EQ(admission.requests->remaining, 2);
  EXPECT_EQ(admission.requests->reset_s, 61);
  EXPECT_EQ(admission.tokens->remaining, 100);
  EXPECT_EQ(admission.tokens->reset_s, 0);
  limits.charge_tokens(id, 30, at(5));
  admission = limits.admit(id, at(6));
  EXPECT_EQ(admission.requests->remaining, 1);
  EXPECT_EQ(admission.tokens->remaining, 70);
  EXPECT_EQ(admission.tokens->reset_s, 60);
  EXPECT_FALSE(limits.admit(key("anonymous"), at(6)).requests) << "nobody in particular is not limited";
}

TEST_F(RateLimitsTest, tokens_and_concurrent_requests_are_limited) {
  RateLimits limits(*database_, {.defaults = {.tokens_per_minute = 50, .concurrent_requests = 2}});
  const Identity id = key("key:1");
  EXPECT_TRUE(limits.admit(id, at(0)).admitted);
  EXPECT_TRUE(limits.admit(id, at(0)).admitted);
  EXPECT_EQ(limits.admit(id, at(0)).limit, "concurrent_requests");
  limits.release(id);
  EXPECT_TRUE(limits.admit(id, at(0)).admitted);
  limits.release(id);
  limits.charge_tokens(id, 51, at(1));
  EXPECT_EQ(limits.admit(id, at(2)).limit, "tokens_per_minute");
  EXPECT_EQ(limits.admit(key("key:2"), at(2)).admitted, true) << "others are not affected";
  EXPECT_TRUE(limits.admit(id, at(62)).admitted);
}

TEST_F(RateLimitsTest, a_key_has_its_own_limits_and_its_owners) {
  RateLimits limits(*database_, {.defaults = {.requests_per_minute = 100}});
  Identity a = key("key:1", {.requests_per_minute = 3});
  Identity b = key("key:2", {.requests_per_minute = 0});
  a.owner = b.owner = "user:alice";
  a.owner_limits = b.owner_limits = {.requests_per_minute = 5};
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(limits.admit(a, at(0)).admitted);
  EXPECT_FALSE(limits.admit(a, at(0)).admitted) << "the key's own";
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(limits.admit(b, at(0)).admitted);
  const Admission refused = limits.admit(b, at(0));
  EXPECT_FALSE(refused.admitted) << "the user's, over all keys";
  EXPECT_EQ(refused.limit_value, 5);
  EXPECT_EQ(refused.requests->remaining, 0);
}

TEST_F(RateLimitsTest, days_are_counted_over_a_restart_and_end_at_midnight) {
  const RateLimitsOptions options{.defaults = {.requests_per_day = 3, .tokens_per_day = 100}};
  const Identity id = key("key:1");
  {
    RateLimits limits(*database_, options);
    EXPECT_TRUE(limits.admit(id, at(0)).admitted);
    EXPECT_TRUE(limits.admit(id, at(0)).admitted);
  }
  {
    RateLimits limits(*database_, options);
    EXPECT_TRUE(limits.admit(id, at(100)).admitted);
    const Admission refused = limits.admit(id, at(100));
    EXPECT_EQ(refused.limit, "requests_per_day");
    EXPECT_EQ(refused.retry_after_s, kDay - 1100);
    EXPECT_TRUE(limits.admit(id, at(kDay)).admitted) << "tomorrow";
    limits.charge_tokens(id, 100, at(kDay));
  }
  RateLimits limits(*database_, options);
  EXPECT_EQ(limits.admit(id, at(kDay + 1)).limit, "tokens_per_day");
}

TEST_F(RateLimitsTest, memory_is_bounded_and_the_forgotten_keep_their_day) {
  RateLimits limits(*database_, {.defaults = {.requests_per_day = 1}, .subjects_max = 10});
  for (int i = 0; i < 50; ++i) {
    const Identity id = key("key:" + std::to_string(i));
    EXPECT_TRUE(limits.admit(id, at(0)).admitted);
    limits.release(id);
  }
  EXPECT_LE(limits.subjects(), 10U);
  EXPECT_FALSE(limits.admit(key("key:0"), at(1)).admitted) << "counted, though not written yet";
  ASSERT_TRUE(limits.write());
  EXPECT_FALSE(limits.admit(key("key:1"), at(1)).admitted) << "counted in the database";
}

TEST_F(RateLimitsTest, many_threads_admit_exactly_the_limit) {
  RateLimits limits(*database_, {.defaults = {.requests_per_minute = 100}});
  std::atomic<int> admitted{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 100; ++i) {
        if (limits.admit(key("key:1"), at(0)).admitted) ++admitted;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(admitted, 100);
}

}  // namespace
}  // namespace cove::auth
