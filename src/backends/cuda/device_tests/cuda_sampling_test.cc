// Tokens drawn on this machine's GPU against the host's definition. Skipped without a GPU.
#include "backends/cuda/sampling_testing.h"

namespace cove::cuda {
namespace {

class CudaSampling : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!has_device()) GTEST_SKIP() << "no GPU can be used here";
    auto device = open_device(0);
    ASSERT_TRUE(device) << device.error().message;
    device_ = std::move(*device);
  }
  std::unique_ptr<Device> device_;
};

TEST_F(CudaSampling, draws_the_tokens_that_the_host_draws) { check_every_combination(*device_); }
TEST_F(CudaSampling, draws_the_tokens_that_the_host_draws_from_large_vocabularies) {
  check_large_vocabularies(*device_);
}
TEST_F(CudaSampling, draws_among_many_equal_values) { check_equal_values(*device_); }
TEST_F(CudaSampling, a_row_that_is_not_finite_draws_nothing) { check_rows_not_finite(*device_); }

}  // namespace
}  // namespace cove::cuda
