#pragma once
// The CUDA backend against transformers and against the reference backend; on a GPU (cuda_golden_test.cc) and emulated
// (emulated_golden_test.cc).

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "backends/cuda/cuda_backend.h"
#include "compute/backend.h"
#include "golden_models.h"

namespace cove::golden {

using MakeCuda = std::function<std::unique_ptr<Backend>(const CudaOptions&)>;

// Activations and weights are bf16: every operation rounds to 2^-9, and the errors of some thirty operations in a row
// add up like noise. Over 200 greedy steps of each model the emulator's errors have a root mean square of 0.008 to
// 0.017, the same at the end as at the beginning, and the largest of all 1 400 is 0.040.
inline constexpr double kBf16Tolerance = 2e-2;                       // root mean square over many rows
inline constexpr double kBf16ToleranceOfOne = 2.5 * kBf16Tolerance;  // of one row

class Bf16Errors {
 public:
  explicit Bf16Errors(std::string model) : model_(std::move(model)) {}
  ~Bf16Errors() {
    EXPECT_LT(std::sqrt(squares_ / static_cast<double>(rows_)), kBf16Tolerance) << model_ << ", " << rows_ << " rows";
  }
  Bf16Errors(const Bf16Errors&) = delete;
  Bf16Errors& operator=(const Bf16Errors&) = delete;

  void add(const Row& got, const Row& want, const std::string& where) {
    const double error = relative_error(got, want);
    EXPECT_LT(error, kBf16ToleranceOfOne) << model_ << ", " << where;
    squares_ += error * error;
    ++rows_;
  }

 private:
  std::string model_;
  double squares_ = 0;
  int64_t rows_ = 0;
};

inline void expect_logits_of_transformers(const MakeCuda& make, const std::string& model, size_t prompts_max) {
  const Golden golden = open_golden(model);
  const auto backend = make({});
  Bf16Errors errors(model);
  for (size_t p = 0; p < std::min(prompts_max, golden.prompts.size()); ++p) {
    const GoldenPrompt& prompt = golden.prompts[p];
    const auto rows = Sequence(golden.files, *backend, DType::kBF16).feed(prompt.ids, prompt.positions);
    for (size_t i = 0; i < rows.size(); ++i) {
      errors.add(rows[i], prompt.logits[i],
                 fmt::format("prompt of {} tokens, position {}", prompt.ids.size(), prompt.positions[i]));
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
  Bf16Errors errors(model);
  for (int32_t step = 0; step < steps; ++step) {
    errors.add(got, want, fmt::format("step {}", step));
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
