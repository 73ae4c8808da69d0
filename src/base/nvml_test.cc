#include "base/nvml.h"

#include <gtest/gtest.h>

namespace cove {
namespace {

TEST(Nvml, says_that_there_is_no_driver) {
  const auto gpus = probe_gpus("libno-such-driver.so.1");
  ASSERT_FALSE(gpus.has_value());
  EXPECT_EQ(gpus.error().code, ErrorCode::kNotFound);
}

TEST(Nvml, refuses_a_library_without_the_calls) {
  const auto gpus = probe_gpus("libc.so.6");
  ASSERT_FALSE(gpus.has_value());
  EXPECT_EQ(gpus.error().code, ErrorCode::kUnavailable);
}

TEST(Nvml, lists_gpus_and_counts_those_that_do_not_answer) {
  const auto gpus = probe_gpus(COVE_FAKE_NVML);
  ASSERT_TRUE(gpus.has_value()) << gpus.error().message;
  EXPECT_EQ(gpus->version, "580.95.05");
  EXPECT_EQ(gpus->cuda_major, 13);
  EXPECT_EQ(gpus->cuda_minor, 1);
  ASSERT_EQ(gpus->gpus.size(), 2U);
  EXPECT_EQ(gpus->gpus[0].name, "NVIDIA H200");
  EXPECT_EQ(gpus->gpus[0].memory_total_bytes, 150'754'820'096);
  EXPECT_EQ(gpus->gpus[0].compute_major, 9);
  EXPECT_EQ(gpus->gpus[1].name, "");
}

TEST(Nvml, tells_how_busy_and_warm_a_gpu_is_and_leaves_out_what_it_does_not_tell) {
  const auto monitor = GpuMonitor::open(COVE_FAKE_NVML);
  ASSERT_TRUE(monitor.has_value()) << monitor.error().message;
  for (int i = 0; i < 2; ++i) {
    const GpuDriver driver = monitor->look();
    ASSERT_EQ(driver.gpus.size(), 2U);
    EXPECT_EQ(driver.gpus[0].utilization, 0.97);
    EXPECT_EQ(driver.gpus[0].temperature_c, 41);
    EXPECT_EQ(driver.gpus[0].power_w, std::nullopt);
    EXPECT_EQ(driver.gpus[1].utilization, std::nullopt);
  }
}

TEST(Nvml, a_driver_that_answers_names_its_gpus) {
  const auto gpus = probe_gpus();
  if (!gpus) GTEST_SKIP() << gpus.error().message;
  for (const GpuInfo& gpu : gpus->gpus) EXPECT_FALSE(gpu.name.empty());
  EXPECT_FALSE(gpus->version.empty());
}

}  // namespace
}  // namespace cove
