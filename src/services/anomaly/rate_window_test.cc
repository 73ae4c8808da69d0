#include "services/anomaly/rate_window.h"

#include <algorithm>
#include <random>
#include <vector>

#include <gtest/gtest.h>

namespace cove::anomaly {
namespace {

TEST(RateWindow, an_event_leaves_after_the_window_not_at_a_minute_s_turn) {
  const RateLimit limit{.threshold = 3, .window_ms = 1000};
  RateWindow window;
  for (const int64_t time : {900, 950, 1000}) window.add(limit, time);
  EXPECT_EQ(window.sum(limit, 1000), 3);
  EXPECT_EQ(window.sum(limit, 1899), 3);
  EXPECT_EQ(window.sum(limit, 1900), 2);
  EXPECT_EQ(window.sum(limit, 1999), 1);
  EXPECT_EQ(window.sum(limit, 2000), 0);
  EXPECT_TRUE(window.empty());
}

// Against the definition: count the events of (now - window, now].
void compare_with_all_events(int64_t threshold, int64_t amount_max, uint32_t seed) {
  const RateLimit limit{.threshold = threshold, .window_ms = 60'000};
  std::mt19937 random(seed);
  RateWindow window;
  std::vector<std::pair<int64_t, int64_t>> events;
  int64_t now = 1;
  for (int i = 0; i < 20'000; ++i) {
    // Bursts and pauses, about as many as the threshold allows.
    now +=
        random() % 50 == 0 ? random() % 90'000 : random() % static_cast<uint32_t>(2 + 80'000 * amount_max / threshold);
    const int64_t amount = 1 + static_cast<int64_t>(random() % static_cast<uint32_t>(amount_max));
    events.emplace_back(now, amount);
    window.add(limit, now, amount);
    int64_t expected = 0;
    for (size_t k = events.size(); k > 0 && events[k - 1].first > now - limit.window_ms; --k)
      expected += events[k - 1].second;
    const int64_t sum = window.sum(limit, now);
    ASSERT_EQ(sum > threshold, expected > threshold) << "event " << i << ", seed " << seed;
    ASSERT_EQ(std::min(sum, threshold), std::min(expected, threshold)) << "event " << i << ", seed " << seed;
    ASSERT_LE(window.entries(), static_cast<size_t>(threshold + 1));
  }
}

TEST(RateWindow, agrees_with_counting_all_events) {
  for (uint32_t seed = 1; seed <= 3; ++seed) {
    compare_with_all_events(1, 1, seed);
    compare_with_all_events(100, 1, seed);
    compare_with_all_events(1000, 40, seed);
  }
}

TEST(RateWindow, a_large_threshold_costs_no_more_memory) {
  const RateLimit limit{.threshold = 1'000'000, .window_ms = 60'000};
  RateWindow window;
  int64_t raised_at = 0;
  for (int64_t i = 1; i <= 1'100'000 && raised_at == 0; ++i) {
    window.add(limit, i / 40);  // 40 a millisecond: the threshold is passed after 25 s
    if (window.sum(limit, i / 40) > limit.threshold) raised_at = i;
  }
  EXPECT_EQ(raised_at, limit.threshold + 1);
  EXPECT_LE(window.entries(), static_cast<size_t>(RateWindow::kEntriesMax + 2));
}

}  // namespace
}  // namespace cove::anomaly
