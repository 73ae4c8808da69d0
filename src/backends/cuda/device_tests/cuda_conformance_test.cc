// The conformance suite on this machine's GPU. Without one the suite has no cases, and one test says why.
#include "backends/cuda/conformance_cases.h"
#include "backends/cuda/cuda_backend.h"
#include "compute/conformance/conformance.h"

namespace cove::conformance {
namespace {

std::unique_ptr<Backend> make(const CudaOptions& options) {
  Result<std::unique_ptr<Backend>> backend = make_cuda_backend(options);
  COVE_CHECK_MSG(backend.has_value(), backend.has_value() ? "" : backend.error().message);
  return std::move(*backend);
}

std::vector<BackendCase> cases() {
  if (!cuda_available()) return {};
  return {cuda_case(make, false), cuda_case(make, true)};
}

}  // namespace

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(BackendConformance);
INSTANTIATE_TEST_SUITE_P(Cuda, BackendConformance, ::testing::ValuesIn(cases()), case_name);

TEST(CudaBackend, opens_the_gpu_or_says_why_not) {
  const Result<std::unique_ptr<Backend>> backend = make_cuda_backend();
  if (!cuda_available()) {
    ASSERT_FALSE(backend.has_value());
    EXPECT_EQ(backend.error().code, ErrorCode::kUnsupported);
    GTEST_SKIP() << "the conformance suite was not run: " << backend.error().message;
  }
  ASSERT_TRUE(backend.has_value()) << backend.error().message;
  EXPECT_GT((*backend)->info().memory_total, 0U);
}

TEST(CudaBackend, refuses_a_device_that_does_not_exist) {
  if (!cuda_available()) GTEST_SKIP() << "no GPU can be used here";
  EXPECT_EQ(make_cuda_backend({.device = 1000}).error().code, ErrorCode::kInvalidArgument);
}

}  // namespace cove::conformance
