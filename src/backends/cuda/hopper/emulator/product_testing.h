#pragma once
// What the emulated tests of products have in common: cases, an output with what lies behind it, and its comparison
// with plain sums. Included by *_test.cc after the kernels.

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include "backends/cuda/hopper/device.cuh"
#include "backends/cuda/hopper/gemm_params.h"

namespace cove::cuda::hopper {

// ThreadSanitizer takes coroutines for one thread with a torn stack.
#if defined(__SANITIZE_THREAD__)
#define COVE_SKIP_COROUTINES() GTEST_SKIP() << "coroutines do not run under ThreadSanitizer"
#else
#define COVE_SKIP_COROUTINES()
#endif

inline constexpr uint16_t kNanBf16 = 0xFFFF;

struct ProductCase {
  int64_t rows = 0;
  int64_t outputs = 0;
  int64_t in = 0;
  bool swiglu = false;
  bool out_f32 = false;
  bool bias = false;
  bool add = false;
  int64_t width() const { return swiglu ? outputs / 2 : outputs; }
  int64_t weight_rows() const { return (outputs + 15) / 16 * 16; }
};

// NaN at first, but where the product adds to what is there.
class ProductOutput {
 public:
  explicit ProductOutput(const ProductCase& c)
      : case_(c), out_(static_cast<size_t>(c.rows * c.width() + kGuard) * 2, kNanBf16), sums_(size_t{1} << 20) {
    if (c.add) std::fill_n(out_.begin(), c.rows * c.width(), f32_to_bf16(kBefore));
  }

  // Scales are the caller's.
  OutputParams params(const std::vector<float>& bias) {
    return {.bias = case_.bias ? bias.data() : nullptr,
            .out_f32 = case_.out_f32 ? reinterpret_cast<float*>(out_.data()) : nullptr,
            .out_bf16 = case_.out_f32 ? nullptr : out_.data(),
            .rows = static_cast<int32_t>(case_.rows),
            .weight_rows = static_cast<int32_t>(case_.weight_rows()),
            .width = static_cast<int32_t>(case_.width()),
            .swiglu = case_.swiglu ? 1 : 0,
            .add = case_.add ? 1 : 0};
  }
  PartialSums partial() { return {reinterpret_cast<float*>(sums_.data()), counters_.data()}; }
  TensorMap map(int64_t box_rows) {
    return {reinterpret_cast<std::byte*>(out_.data()), case_.rows, case_.width(), case_.width() * 2, 2, box_rows};
  }

  // sum(row, weight row): the product's, with its bias. limit: of the relative error over all;
  // element_limit: of an output's error, in 1 + its size, times the root of the inputs.
  template <class Sum>
  void check(const Sum& sum, double limit, double element_limit = std::numeric_limits<double>::infinity()) const {
    double difference = 0.0;
    double all = 0.0;
    for (int64_t r = 0; r < case_.rows; ++r) {
      for (int64_t c = 0; c < case_.width(); ++c) {
        const double wanted = reference(sum, r, c) + (case_.add ? static_cast<double>(kBefore) : 0.0);
        const double got = value(static_cast<size_t>(r * case_.width() + c));
        ASSERT_FALSE(std::isnan(got)) << "row " << r << " column " << c;
        ASSERT_NEAR(got, wanted, element_limit * (1.0 + std::abs(wanted)) * std::sqrt(static_cast<double>(case_.in)))
            << "row " << r << " column " << c;
        difference += (got - wanted) * (got - wanted);
        all += wanted * wanted;
      }
    }
    EXPECT_LT(std::sqrt(difference / all), limit);
    for (const uint32_t counter : counters_) ASSERT_EQ(counter, 0U) << "a counter is left behind";
    const auto used = static_cast<size_t>(case_.rows * case_.width() * (case_.out_f32 ? 2 : 1));
    for (size_t i = used; i < out_.size(); ++i) ASSERT_EQ(out_[i], kNanBf16) << "wrote behind the output";
  }

 private:
  static constexpr int64_t kGuard = 64;
  static constexpr float kBefore = 3.0F;  // in the output of products that add

  template <class Sum>
  double reference(const Sum& sum, int64_t row, int64_t column) const {
    if (!case_.swiglu) return sum(row, column);
    const int64_t gate_row = column / 8 * 16 + column % 8;
    const double gate = sum(row, gate_row);
    return gate / (1.0 + std::exp(-gate)) * sum(row, gate_row + 8);
  }
  double value(size_t i) const {
    if (!case_.out_f32) return static_cast<double>(bf16_to_f32(out_[i]));
    float value = 0.0F;
    std::memcpy(&value, &out_[2 * i], sizeof value);
    return static_cast<double>(value);
  }

  ProductCase case_;
  std::vector<uint16_t> out_;
  std::vector<int4> sums_;
  std::vector<uint32_t> counters_ = std::vector<uint32_t>(64, 0);
};

}  // namespace cove::cuda::hopper
