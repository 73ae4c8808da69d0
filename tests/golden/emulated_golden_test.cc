// The CUDA backend's kernels, run by the emulator, against transformers: what can be said of them without a GPU.
#include <gtest/gtest.h>

#include "backends/cuda/backend/backend.h"
#include "backends/cuda/emulator/emulated_device.h"
#include "cuda_golden.h"

namespace cove::golden {
namespace {

using testing::Answer;

std::unique_ptr<Backend> make(const CudaOptions& options) {
  auto backend = cuda::make_backend(cuda::emulated::make_device(), options);
  EXPECT_TRUE(backend) << backend.error().message;
  return std::move(*backend);
}

class EmulatedGolden : public ::testing::TestWithParam<std::string> {};

TEST_P(EmulatedGolden, logits_of_a_prompt_are_those_of_transformers) {
  expect_logits_of_transformers(make, GetParam(), 100);
}

INSTANTIATE_TEST_SUITE_P(Models, EmulatedGolden, ::testing::ValuesIn(golden_names()),
                         [](const auto& model) { return model.param; });

TEST(EmulatedCuda, greedy_tokens_are_those_of_the_reference) {
  expect_greedy_tokens_of_reference(make, "qwen2_bf16", 24);
}

// A few short sequences: the emulator takes its time.
TEST(EmulatedCuda, reproducible_output_is_the_same_whether_steps_overlap) {
  std::vector<engine::Request> requests = testing::plain_requests();
  requests.resize(5);
  for (engine::Request& request : requests) request.tokens_max = 9;
  const auto engine_of = [](bool overlap) {
    return reproducible_engine(make, "qwen2_bf16", {.overlap_steps = overlap, .step_target_ms = 0});
  };
  std::vector<Answer> alone;
  const auto lone_engine = engine_of(false);
  for (const engine::Request& request : requests) alone.push_back(testing::ask(*lone_engine, request));
  testing::expect_same_together([&](const engine::EngineOptions&) { return engine_of(true); }, {}, requests, alone,
                                "with steps that overlap");
}

TEST(EmulatedCuda, a_cache_in_fp8_gives_what_the_reference_gives_with_the_same) {
  for (const std::string& model : golden_names()) expect_fp8_cache_of_reference(make, model, 24);
}

TEST(EmulatedCuda, rounded_models_give_what_the_reference_gives_with_the_same_weights) {
  for (const CudaWeightFormat format : kRoundedFormats) {
    expect_greedy_tokens_of_reference(make, "qwen2_untied", 24, format);
    expect_prompt_logits_of_reference(make, "qwen2_untied", format, kBf16Tolerance);
  }
}

}  // namespace
}  // namespace cove::golden
