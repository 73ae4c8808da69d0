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

TEST(Nvml, a_driver_that_answers_names_its_gpus) {
  const auto gpus = probe_gpus();
  if (!gpus) GTEST_SKIP() << gpus.error().message;
  for (const GpuInfo& gpu : gpus->gpus) EXPECT_FALSE(gpu.name.empty());
  EXPECT_FALSE(gpus->version.empty());
}

}  // namespace
}  // namespace cove
