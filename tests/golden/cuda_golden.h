#pragma once
// The CUDA backend against transformers and against the reference backend; on a GPU (cuda_golden_test.cc) and emulated
// (emulated_golden_test.cc).

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "backends/cuda/cuda_backend.h"
#include "backends/cuda/rounded_values.h"
#include "compute/backend.h"
#include "engine/make_engine.h"
#include "engine/testing/company.h"
#include "golden_models.h"
#include "tensor/formats/codec.h"

namespace cove::golden {

using MakeCuda = std::function<std::unique_ptr<Backend>(const CudaOptions&)>;

// Activations and weights are bf16: every operation rounds to 2^-9, and the errors of some thirty operations in a row
// add up like noise. Over 200 greedy steps of each model the emulator's errors have a root mean square of 0.008 to
// 0.017, the same at the end as at the beginning, and the largest of all 1 400 is 0.040.
inline constexpr double kBf16Tolerance = 2e-2;                       // root mean square over many rows
inline constexpr double kBf16ToleranceOfOne = 2.5 * kBf16Tolerance;  // of one row
inline constexpr double kRoundedFactor = 2;                          // of both, for models with rounded weights

class Bf16Errors {
 public:
  explicit Bf16Errors(std::string model, double factor = 1) : model_(std::move(model)), factor_(factor) {}
  ~Bf16Errors() {
    EXPECT_LT(std::sqrt(squares_ / static_cast<double>(rows_)), factor_ * kBf16Tolerance)
        << model_ << ", " << rows_ << " rows";
  }
  Bf16Errors(const Bf16Errors&) = delete;
  Bf16Errors& operator=(const Bf16Errors&) = delete;

  void add(const Row& got, const Row& want, const std::string& where) {
    const double error = relative_error(got, want);
    EXPECT_LT(error, factor_ * kBf16ToleranceOfOne) << model_ << ", " << where;
    squares_ += error * error;
    ++rows_;
  }

 private:
  std::string model_;
  double factor_;
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

// The tensors of a model with an output layer of its own as CudaOptions::format rounds them, in f32. Not of others:
// what embeds tokens is not rounded, and what makes logits is.
class RoundedTensors {
 public:
  RoundedTensors(const engine::ModelFiles& files, CudaWeightFormat format) : files_(&files), format_(format) {
    EXPECT_TRUE(format == CudaWeightFormat::kAsStored || !files.spec.tied_embeddings);
  }

  TensorView find(std::string_view name) {
    const TensorView stored = files_->find(name);
    if (!stored || stored.shape.rank != 2 || name == "embed.weight") return stored;
    std::vector<float>& values = rounded_[std::string(name)];
    if (values.empty()) {
      const auto width = static_cast<size_t>(stored.shape[1]);
      const auto count = static_cast<size_t>(stored.shape.elements());
      std::vector<float> exact(count);
      decode(stored.dtype,
             {stored.as<const std::byte>(), static_cast<size_t>(dtype_bytes(stored.dtype, stored.shape.elements()))},
             exact);
      // The output layer keeps eight bits.
      const bool eight = format_ == CudaWeightFormat::kW4A16 && name == "lm_head.weight";
      for (size_t at = 0; at < count; at += width) {
        const auto row =
            cuda::rounded_row(std::span(exact).subspan(at, width), eight ? CudaWeightFormat::kInt8 : format_);
        values.insert(values.end(), row.begin(), row.end());
      }
    }
    return {.data = reinterpret_cast<std::byte*>(values.data()), .dtype = DType::kF32, .shape = stored.shape};
  }

 private:
  const engine::ModelFiles* files_;
  CudaWeightFormat format_;
  std::map<std::string, std::vector<float>, std::less<>> rounded_;
};

// Feeds the reference backend's greedy tokens to both; the reference has the same rounded weights. Where the
// reference's lead is a tie at this precision either token will do.
inline void expect_greedy_tokens_of_reference(const MakeCuda& make, const std::string& model, int32_t steps,
                                              CudaWeightFormat format = CudaWeightFormat::kAsStored) {
  const Golden golden = open_golden(model);
  const auto backend = make({.format = format});
  const auto reference_backend = make_reference_backend();
  const GoldenPrompt& prompt = golden.prompts.front();
  RoundedTensors rounded(golden.files, format);
  Sequence sequence(golden.files, *backend, DType::kBF16);
  Sequence reference(
      golden.files.spec, [&](std::string_view name) { return rounded.find(name); }, *reference_backend, DType::kF32);
  const int32_t last = static_cast<int32_t>(prompt.ids.size()) - 1;
  Row got = sequence.feed(prompt.ids, {&last, 1})[0];
  Row want = reference.feed(prompt.ids, {&last, 1})[0];
  int ties = 0;
  const double factor = format == CudaWeightFormat::kAsStored ? 1 : kRoundedFactor;
  Bf16Errors errors(fmt::format("{}, format {}", model, static_cast<int>(format)), factor);
  for (int32_t step = 0; step < steps; ++step) {
    errors.add(got, want, fmt::format("step {}", step));
    const auto best = static_cast<size_t>(std::ranges::max_element(want) - want.begin());
    const auto chosen = static_cast<size_t>(std::ranges::max_element(got) - got.begin());
    if (chosen != best) {
      double square = 0;
      for (const float value : want) square += static_cast<double>(value) * static_cast<double>(value);
      const double noise = factor * kBf16Tolerance * std::sqrt(square / static_cast<double>(want.size()));
      ASSERT_LT(static_cast<double>(want[best] - want[chosen]), 4 * noise) << model << ", step " << step;
      ++ties;
    }
    got = sequence.feed_one(static_cast<int32_t>(best));
    want = reference.feed_one(static_cast<int32_t>(best));
  }
  ::testing::Test::RecordProperty("ties", ties);
  EXPECT_LE(ties, steps / 8) << "too many to be ties";
}

// A cache in fp8 against the reference backend with the same: prompt, then the reference's greedy tokens. What the two
// round differs by d, bf16's errors, which turns the rounding of a part d / spacing of all keys and values: a root mean
// square of sqrt(d spacing), beside spacing / sqrt(12) that the format itself costs. With d of 0.4 % and a spacing of
// 9 % that is 0.7 of it, and emulated 0.5 to 0.7; two caches rounded apart from each other would have 1.4. The
// conformance suite, where both round the same values, is the sharper test.
inline void expect_fp8_cache_of_reference(const MakeCuda& make, const std::string& model, int32_t steps) {
  const Golden golden = open_golden(model);
  const auto backend = make({});
  const auto reference_backend = make_reference_backend();
  const GoldenPrompt& prompt = golden.prompts.back();
  Sequence sequence(golden.files, *backend, DType::kE4M3);
  Sequence reference(golden.files, *reference_backend, DType::kE4M3);
  Sequence exact(golden.files, *reference_backend, DType::kF32);
  const int32_t last = static_cast<int32_t>(prompt.ids.size()) - 1;
  Row got = sequence.feed(prompt.ids, {&last, 1})[0];
  Row want = reference.feed(prompt.ids, {&last, 1})[0];
  Row without = exact.feed(prompt.ids, {&last, 1})[0];
  double squares = 0;
  double format_squares = 0;
  for (int32_t step = 0; step < steps; ++step) {
    squares += std::pow(relative_error(got, want), 2);
    format_squares += std::pow(relative_error(want, without), 2);
    const auto best = static_cast<int32_t>(std::ranges::max_element(want) - want.begin());
    got = sequence.feed_one(best);
    want = reference.feed_one(best);
    without = exact.feed_one(best);
  }
  const double error = std::sqrt(squares / steps);
  const double format_error = std::sqrt(format_squares / steps);
  ::testing::Test::RecordProperty(model, fmt::format("{:.4f} of {:.4f}", error, format_error));
  EXPECT_LT(error, format_error) << model;
}

inline constexpr CudaWeightFormat kRoundedFormats[] = {CudaWeightFormat::kFp8, CudaWeightFormat::kInt8,
                                                       CudaWeightFormat::kW4A16};
// With an output layer of their own.
inline constexpr const char* kUntiedModels[] = {"llama", "qwen2_bf16", "qwen2_untied"};

// Eight positions of the longest prompt, which may be multiplied with activations in eight bits too: `tolerance` is of
// the root mean square over the rows. int8 rounds an activation by about 0.006 of the row's deviation, e4m3 by 0.026 of
// its own magnitude; some eight products in a row add up like noise: on an H200 up to 0.040 and less than 0.15.
inline void expect_prompt_logits_of_reference(const MakeCuda& make, const std::string& model, CudaWeightFormat format,
                                              double tolerance) {
  const Golden golden = open_golden(model);
  const auto backend = make({.format = format});
  const auto reference_backend = make_reference_backend();
  RoundedTensors rounded(golden.files, format);
  const GoldenPrompt& prompt = golden.prompts.back();
  std::vector<int32_t> positions;
  for (size_t i = 0; i < 8; ++i) positions.push_back(static_cast<int32_t>(i * (prompt.ids.size() - 1) / 7));
  const auto got = Sequence(golden.files, *backend, DType::kBF16).feed(prompt.ids, positions);
  const auto want =
      Sequence(
          golden.files.spec, [&](std::string_view name) { return rounded.find(name); }, *reference_backend, DType::kF32)
          .feed(prompt.ids, positions);
  double squares = 0;
  for (size_t i = 0; i < got.size(); ++i) squares += std::pow(relative_error(got[i], want[i]), 2);
  EXPECT_LT(std::sqrt(squares / static_cast<double>(got.size())), tolerance)
      << model << ", format " << static_cast<int>(format);
}

// An engine in the reproducible mode, with few pages' worth of context.
inline std::unique_ptr<engine::Engine> reproducible_engine(const MakeCuda& make, const std::string& model,
                                                           engine::EngineOptions options) {
  options.context_max = testing::kShortContext;
  options.kv_format = "bf16";
  auto files = engine::open_model_files(golden_root() / model);
  EXPECT_TRUE(files) << files.error().message;
  auto parts = engine::model_parts(std::make_shared<const engine::ModelFiles>(std::move(*files)), "");
  auto made = engine::make_engine(std::move(parts), make({.reproducible = true}), options);
  EXPECT_TRUE(made) << made.error().message;
  return std::move(*made);
}

}  // namespace cove::golden
