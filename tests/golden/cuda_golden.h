#pragma once
// The CUDA backend against transformers and against the reference backend; on a GPU (cuda_golden_test.cc) and emulated
// (emulated_golden_test.cc).

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "backends/cuda/cuda_backend.h"
#include "compute/backend.h"
#include "golden_models.h"

namespace cove::golden {

using MakeCuda = std::function<std::unique_ptr<Backend>(const CudaOptions&)>;

// Activations and weights are bf16: every operation rounds to 2^-9, and the errors of some thirty operations in a row
// add up like noise.
inline constexpr double kBf16Tolerance = 2e-2;

inline void expect_logits_of_transformers(const MakeCuda& make, const std::string& model, size_t prompts_max) {
  const Golden golden = open_golden(model);
  const auto backend = make({});
  for (size_t p = 0; p < std::min(prompts_max, golden.prompts.size()); ++p) {
    const GoldenPrompt& prompt = golden.prompts[p];
    const auto rows = Sequence(golden.files, *backend, DType::kBF16).feed(prompt.ids, prompt.positions);
    for (size_t i = 0; i < rows.size(); ++i) {
      EXPECT_LT(relative_error(rows[i], prompt.logits[i]), kBf16Tolerance)
          << model << ", prompt of " << prompt.ids.size() << " tokens, position " << prompt.positions[i];
    }
  }
}

// Feeds the reference backend's greedy tokens to both. Where the reference's lead is a tie at this precision either
// token will do.
inline void expect_greedy_tokens_of_reference(const MakeCuda& make, const std::string& model, int32_t steps) {
  const Golden golden = open_golden(model);
  const auto backend = make({});
  const auto reference_backend = make_reference_backend();
  const GoldenPrompt& prompt = golden.prompts.front();
  Sequence sequence(golden.files, *backend, DType::kBF16);
  Sequence reference(golden.files, *reference_backend);
  const int32_t last = static_cast<int32_t>(prompt.ids.size()) - 1;
  Row got = sequence.feed(prompt.ids, {&last, 1})[0];
  Row want = reference.feed(prompt.ids, {&last, 1})[0];
  int ties = 0;
  for (int32_t step = 0; step < steps; ++step) {
    ASSERT_LT(relative_error(got, want), kBf16Tolerance) << model << ", step " << step;
    const auto best = static_cast<size_t>(std::ranges::max_element(want) - want.begin());
    const auto chosen = static_cast<size_t>(std::ranges::max_element(got) - got.begin());
    if (chosen != best) {
      double square = 0;
      for (const float value : want) square += static_cast<double>(value) * static_cast<double>(value);
      const double noise = kBf16Tolerance * std::sqrt(square / static_cast<double>(want.size()));
      ASSERT_LT(static_cast<double>(want[best] - want[chosen]), 4 * noise) << model << ", step " << step;
      ++ties;
    }
    got = sequence.feed_one(static_cast<int32_t>(best));
    want = reference.feed_one(static_cast<int32_t>(best));
  }
  ::testing::Test::RecordProperty("ties", ties);
  EXPECT_LE(ties, steps / 8) << "too many to be ties";
}

}  // namespace cove::golden
