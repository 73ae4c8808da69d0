#include "base/metrics.h"

#include <array>
#include <thread>

#include <gtest/gtest.h>

namespace cove {
namespace {

constexpr double kBounds[] = {0.1, 1};
constexpr MetricSpec kRequests{"cove_requests_total", MetricKind::kCounter, "route,status", "", "Requests.", {}};
constexpr MetricSpec kSeconds{"cove_seconds", MetricKind::kHistogram, "", "vllm:seconds", "Time.", kBounds};
constexpr std::array<std::string_view, 2> kChat200{"/v1/chat", "200"};

TEST(Metrics, renders_counters_with_escaped_labels) {
  MetricsRegistry registry;
  registry.metric(kRequests, kChat200).add();
  registry.metric(kRequests, kChat200).add(2);
  const std::array<std::string_view, 2> odd{"a\"b\\c\nd", "1"};
  registry.metric(kRequests, odd).set(5);
  EXPECT_EQ(registry.render(MetricsRegistry::Aliases::kHide),
            "# HELP cove_requests_total Requests.\n# TYPE cove_requests_total counter\n"
            "cove_requests_total{route=\"/v1/chat\",status=\"200\"} 3\n"
            "cove_requests_total{route=\"a\\\"b\\\\c\\nd\",status=\"1\"} 5\n");
}

TEST(Metrics, histogram_buckets_are_cumulative_and_aliased_on_request) {
  MetricsRegistry registry;
  for (const double value : {0.05, 0.1, 0.5, 7.0}) registry.histogram(kSeconds).observe(value);
  const std::string text = registry.render(MetricsRegistry::Aliases::kShow, "model_name=\"m\"");
  EXPECT_NE(text.find("cove_seconds_bucket{le=\"0.1\"} 2\ncove_seconds_bucket{le=\"1\"} 3\n"
                      "cove_seconds_bucket{le=\"+Inf\"} 4\ncove_seconds_sum 7.65\ncove_seconds_count 4\n"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("vllm:seconds_bucket{model_name=\"m\",le=\"0.1\"} 2\n"), std::string::npos) << text;
}

TEST(Metrics, counts_from_many_threads_add_up) {
  MetricsRegistry registry;
  std::vector<std::jthread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 1000; ++i) {
        registry.metric(kRequests, kChat200).add();
        registry.histogram(kSeconds).observe(0.5);
      }
    });
  }
  threads.clear();
  EXPECT_EQ(registry.metric(kRequests, kChat200).value(), 4000);
  EXPECT_EQ(registry.histogram(kSeconds).count(), 4000U);
}

}  // namespace
}  // namespace cove
