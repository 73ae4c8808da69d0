#include "server/server_metrics.h"

#include <gtest/gtest.h>

namespace cove::server {
namespace {

std::string text_of(ServerMetrics& metrics) { return metrics.render(nullptr, 0, MetricsRegistry::Aliases::kHide); }

bool holds(const std::string& text, const std::string& line) { return text.find(line + "\n") != std::string::npos; }

TEST(ServerMetrics, shows_what_gpus_tell_and_no_more) {
  ServerMetrics metrics;
  EXPECT_EQ(text_of(metrics).find("cove_gpu_"), std::string::npos) << "no GPU, no metric";
  GpuInfo gpu{.name = "NVIDIA H200", .memory_total_bytes = 1000, .memory_free_bytes = 400};
  gpu.utilization = 0.5;
  gpu.temperature_c = 41;
  const GpuInfo silent;
  metrics.set_gpus(std::vector<GpuInfo>{silent, gpu});
  const std::string text = text_of(metrics);
  const std::string labels = R"({gpu="1",name="NVIDIA H200"} )";
  EXPECT_TRUE(holds(text, "cove_gpu_memory_total_bytes" + labels + "1000")) << text;
  EXPECT_TRUE(holds(text, "cove_gpu_memory_used_bytes" + labels + "600"));
  EXPECT_TRUE(holds(text, "cove_gpu_utilization_ratio" + labels + "0.5"));
  EXPECT_TRUE(holds(text, "cove_gpu_temperature_celsius" + labels + "41"));
  EXPECT_EQ(text.find("cove_gpu_power_watts"), std::string::npos) << "it was not told";
  EXPECT_EQ(text.find("gpu=\"0\""), std::string::npos) << "it does not answer";
}

TEST(ServerMetrics, a_value_that_is_no_longer_told_does_not_stay_as_it_was) {
  ServerMetrics metrics;
  GpuInfo gpu{.name = "g"};
  gpu.power_w = 300;
  metrics.set_gpus({&gpu, 1});
  EXPECT_TRUE(holds(text_of(metrics), R"(cove_gpu_power_watts{gpu="0",name="g"} 300)"));
  gpu.power_w = std::nullopt;
  metrics.set_gpus({&gpu, 1});
  EXPECT_TRUE(holds(text_of(metrics), R"(cove_gpu_power_watts{gpu="0",name="g"} NaN)"));
}

}  // namespace
}  // namespace cove::server
