// The CUDA backend on this machine's GPU against transformers and the reference backend. Skipped without a GPU.
#include <gtest/gtest.h>

#include "cuda_golden.h"
#include "engine/testing/company.h"

namespace cove::golden {
namespace {

std::unique_ptr<Backend> make(const CudaOptions& options) {
  auto backend = make_cuda_backend(options);
  EXPECT_TRUE(backend) << backend.error().message;
  return std::move(*backend);
}

class CudaGolden : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (!cuda_available()) GTEST_SKIP() << "no GPU can be used here";
  }
};

TEST_P(CudaGolden, logits_of_a_prompt_are_those_of_transformers) {
  expect_logits_of_transformers(make, GetParam(), 100);
}
TEST_P(CudaGolden, greedy_tokens_of_256_steps_are_those_of_the_reference) {
  expect_greedy_tokens_of_reference(make, GetParam(), 256);
}

TEST_P(CudaGolden, a_cache_in_fp8_gives_what_the_reference_gives_with_the_same) {
  expect_fp8_cache_of_reference(make, GetParam(), 128);
}

class CudaRounded : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (!cuda_available()) GTEST_SKIP() << "no GPU can be used here";
  }
};

TEST_P(CudaRounded, greedy_tokens_of_256_steps_are_those_of_the_reference_with_the_same_weights) {
  for (const CudaWeightFormat format : kRoundedFormats)
    expect_greedy_tokens_of_reference(make, GetParam(), 256, format);
}

TEST_P(CudaRounded, logits_of_a_prompt_are_those_of_the_reference_with_the_same_weights) {
  expect_prompt_logits_of_reference(make, GetParam(), CudaWeightFormat::kW4A16, kBf16Tolerance);
  expect_prompt_logits_of_reference(make, GetParam(), CudaWeightFormat::kInt8, 3 * kBf16Tolerance);
  expect_prompt_logits_of_reference(make, GetParam(), CudaWeightFormat::kFp8, 0.15);
}

INSTANTIATE_TEST_SUITE_P(Models, CudaRounded, ::testing::ValuesIn(kUntiedModels),
                         [](const auto& model) { return std::string(model.param); });

// Each sequence alone and in every company, in turns and with steps that overlap, with the reproducible option.
TEST_P(CudaGolden, reproducible_output_is_the_same_alone_and_in_any_batch) {
  testing::expect_same_in_any_company(
      [](const engine::EngineOptions& options) { return reproducible_engine(make, GetParam(), options); });
}
TEST_P(CudaGolden, reproducible_output_is_the_same_whether_steps_overlap) {
  const auto in_turn = [](engine::EngineOptions options) {
    options.overlap_steps = false;
    return reproducible_engine(make, GetParam(), options);
  };
  const auto ahead = [](const engine::EngineOptions& options) {
    return reproducible_engine(make, GetParam(), options);
  };
  testing::expect_same_in_any_company(in_turn, ahead, testing::plain_requests());
}

INSTANTIATE_TEST_SUITE_P(Models, CudaGolden, ::testing::ValuesIn(golden_names()),
                         [](const auto& model) { return model.param; });

}  // namespace
}  // namespace cove::golden
