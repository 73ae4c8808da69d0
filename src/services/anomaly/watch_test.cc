#include "services/anomaly/watch.h"

#include <gtest/gtest.h>

#include "base/json.h"

namespace cove::anomaly {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

class WatchTest : public ::testing::Test {
 protected:
  Watch make(WatchOptions options = {}) {
    return Watch(options, [this](const Alert& alert) { (alert.ended_s ? ended : raised).push_back(alert); });
  }
  Watch::Clock::time_point now = Watch::Clock::time_point(std::chrono::hours(1));
  std::vector<Alert> raised;
  std::vector<Alert> ended;
};

TEST_F(WatchTest, the_hundred_and_first_request_of_a_minute_raises_one_alert) {
  Watch watch = make();
  for (int i = 0; i < 100; ++i) watch.request("key:1", "alice", now += milliseconds(590));
  EXPECT_TRUE(raised.empty());
  for (int i = 0; i < 50; ++i) watch.request("key:1", "alice", now += milliseconds(590));
  ASSERT_EQ(raised.size(), 1U);
  EXPECT_EQ(raised[0].subject, "key:1");
  EXPECT_EQ(summary(raised[0]), "more than 100 requests in 60 s by key:1 (alice)");
  EXPECT_EQ(watch.raised(Rule::kRequestsPerMinute), 1U);
  ASSERT_EQ(watch.active().size(), 1U);
  EXPECT_EQ(watch.active()[0].count, 150);
  EXPECT_TRUE(watch.history().empty());
}

TEST_F(WatchTest, any_sixty_seconds_count_not_those_of_the_clock) {
  Watch watch = make();
  now += seconds(45);
  for (int i = 0; i < 60; ++i) watch.request("a", "", now);
  now += seconds(30);  // another minute of the clock, the same window
  for (int i = 0; i < 41; ++i) watch.request("a", "", now);
  EXPECT_EQ(raised.size(), 1U);
  for (int i = 0; i < 100; ++i) watch.request("b", "", now);
  now += seconds(60);
  watch.request("b", "", now);
  EXPECT_EQ(raised.size(), 1U) << "the hundred of b are out of the window";
}

TEST_F(WatchTest, it_is_armed_again_when_the_rate_has_fallen) {
  Watch watch = make();
  for (int round = 1; round <= 3; ++round) {
    for (int i = 0; i < 120; ++i) watch.request("a", "", now);
    EXPECT_EQ(raised.size(), static_cast<size_t>(round));
    now += seconds(61);
    if (round != 2) watch.sweep(now);  // without a sweep the next request finds out
  }
  EXPECT_EQ(ended.size(), 3U);
  EXPECT_TRUE(watch.active().empty());
  EXPECT_EQ(watch.history().size(), 3U);
  EXPECT_GT(watch.history()[0].id, watch.history()[2].id) << "newest first";
}

TEST_F(WatchTest, a_rate_around_the_threshold_does_not_flap) {
  Watch watch = make();
  for (int i = 0; i < 2000; ++i) {
    watch.request("a", "", now += milliseconds(i % 2 == 0 ? 590 : 604));  // 99 to 102 a minute
    watch.sweep(now);
  }
  EXPECT_EQ(raised.size(), 1U);
}

TEST_F(WatchTest, identities_and_rules_do_not_mix) {
  Watch watch = make({.requests_per_minute = 5, .tokens_per_hour = 1000});
  for (int i = 0; i < 5; ++i) {
    watch.request("a", "", now);
    watch.request("b", "", now);
    watch.tokens("a", "", 200, now);
  }
  EXPECT_TRUE(raised.empty());
  watch.tokens("a", "", 0, now);
  watch.tokens("a", "", 1, now += minutes(59));
  ASSERT_EQ(raised.size(), 1U);
  EXPECT_EQ(raised[0].rule, Rule::kTokensPerHour);
  EXPECT_EQ(raised[0].count, 1001);
}

TEST_F(WatchTest, failed_logins_count_for_the_account_and_for_the_address) {
  Watch watch = make({.failed_logins_account = 3, .failed_logins_address = 6});
  for (int i = 0; i < 4; ++i) watch.failed_login("root", "10.0.0." + std::to_string(i), now);
  ASSERT_EQ(raised.size(), 1U);
  EXPECT_EQ(raised[0].rule, Rule::kFailedLoginsAccount);
  EXPECT_EQ(raised[0].subject, "root");
  for (int i = 0; i < 7; ++i) watch.failed_login("", "10.0.0.9", now);
  ASSERT_EQ(raised.size(), 2U);
  EXPECT_EQ(raised[1].rule, Rule::kFailedLoginsAddress);
  EXPECT_EQ(summary(raised[1]), "more than 6 failed sign-ins in 600 s from 10.0.0.9");
}

TEST_F(WatchTest, zero_turns_a_rule_off) {
  Watch watch = make({.requests_per_minute = 0, .failed_logins_account = 0, .failed_logins_address = 0});
  for (int i = 0; i < 1000; ++i) {
    watch.request("a", "", now);
    watch.tokens("a", "", 1'000'000, now);
    watch.failed_login("a", "b", now);
  }
  EXPECT_TRUE(raised.empty());
  EXPECT_EQ(watch.subjects(), 0U);
}

TEST_F(WatchTest, memory_is_bounded_and_the_busy_are_remembered) {
  Watch watch = make({.requests_per_minute = 10, .subjects_max = 100, .history_max = 3});
  for (int i = 0; i < 10'000; ++i) {
    watch.request("id" + std::to_string(i), "", now);
    if (i % 50 == 0) watch.request("busy", "", now);
  }
  EXPECT_EQ(watch.subjects(), 100U);
  ASSERT_EQ(raised.size(), 1U);
  EXPECT_EQ(raised[0].subject, "busy");
  for (int i = 0; i < 10; ++i) {
    for (int k = 0; k < 11; ++k) watch.request("x" + std::to_string(i), "", now);
  }
  watch.sweep(now += minutes(2));
  EXPECT_EQ(watch.subjects(), 0U);
  EXPECT_EQ(watch.history().size(), 3U);
  EXPECT_EQ(ended.size(), 11U);
}

TEST_F(WatchTest, payloads_are_json_whatever_the_subject_is) {
  Watch watch = make({.failed_logins_account = 1});
  const std::string evil = "a\"b\n\\<script>" + std::string(1000, 'x');
  for (int i = 0; i < 2; ++i) watch.failed_login(evil, "::1", now);
  ASSERT_EQ(raised.size(), 1U);
  EXPECT_EQ(raised[0].subject, evil.substr(0, 128));
  const auto plain = parse_json(webhook_body(raised[0], WebhookFormat::kJson, 0));
  ASSERT_TRUE(plain) << plain.error().message;
  EXPECT_EQ(plain->at("event").as_string(), "raised");
  EXPECT_EQ(plain->at("alert").at("subject").as_string(), evil.substr(0, 128));
  Alert alert = raised[0];
  alert.started_s = 1'700'000'000;
  const auto lasting = parse_json(webhook_body(alert, WebhookFormat::kAlertmanager, 1'700'000'100));
  ASSERT_TRUE(lasting) << lasting.error().message;
  EXPECT_EQ(lasting->at(0).at("labels").at("alertname").as_string(), "CoveFailedLoginsAccount");
  EXPECT_EQ(lasting->at(0).at("startsAt").as_string(), "2023-11-14T22:13:20Z");
  EXPECT_EQ(lasting->at(0).at("endsAt").as_string(), "2023-11-14T22:20:00Z") << "until reminded";
  alert.ended_s = 1'700'000'060;
  const auto over = parse_json(webhook_body(alert, WebhookFormat::kAlertmanager, 1'700'000'100));
  EXPECT_EQ(over->at(0).at("endsAt").as_string(), "2023-11-14T22:14:20Z");
}

}  // namespace
}  // namespace cove::anomaly
