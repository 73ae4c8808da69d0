#pragma once
// linear in every weight format, with odd sizes, parts, biases and epilogues. Included by conformance.h.

#include <algorithm>

#include "compute/conformance/fixture.h"
#include "compute/conformance/linear_rig.h"

namespace cove::conformance {

// Tolerances of the plain products of every row and output: [rows][outputs].
inline std::vector<double> product_tolerances(const LinearCase& c, const LinearData& data, Rounding rounding) {
  std::vector<double> tolerances;
  for (int64_t row = 0; row < c.rows; ++row) {
    const std::span x = std::span(data.x).subspan(static_cast<size_t>(row * c.in), static_cast<size_t>(c.in));
    for (const HostTensor& part : data.weights) {
      const std::vector<float> w = part.values();
      for (size_t n = 0; n + 1 <= w.size() / static_cast<size_t>(c.in); ++n) {
        tolerances.push_back(
            dot_tolerance(x, std::span(w).subspan(n * static_cast<size_t>(c.in), static_cast<size_t>(c.in)), rounding));
      }
    }
  }
  return tolerances;
}

inline void check_linear(const BackendCase& backend, const LinearCase& c) {
  SCOPED_TRACE(c.name());
  const LinearData data(c);
  Rig reference = reference_rig();
  Rig rig(backend.make());
  const auto reference_weight = reference.load(data.desc(c));
  const auto weight = rig.load(data.desc(c));
  EXPECT_EQ(weight->in_features, c.in);
  EXPECT_EQ(weight->out_features, c.outputs());
  const std::vector<float> want = run_linear(reference, *reference_weight, c, data.x);
  const std::vector<float> got = run_linear(rig, *weight, c, data.x);
  ASSERT_EQ(got.size(), want.size());
  const std::vector<double> tolerances = product_tolerances(c, data, backend.rounding(c.dtype));
  // silu(g) u: |silu'| <= 1.1, so an error of g counts |u| times and one of u |silu(g)| times.
  std::vector<float> products;
  if (c.epilogue == LinearArgs::Epilogue::kSwiGlu) {
    LinearCase plain = c;
    plain.epilogue = LinearArgs::Epilogue::kNone;
    products = run_linear(reference, *reference_weight, plain, data.x);
  }
  const double unit = activation_unit(rig.backend().activation_dtype());
  const auto width = static_cast<size_t>(c.out_width());
  for (size_t i = 0; i < want.size(); ++i) {
    double tolerance = 0;
    if (products.empty()) {
      tolerance = tolerances[i];
    } else {
      const size_t gate = i / width * width * 2 + i % width;
      const double silu_bound = std::fabs(static_cast<double>(products[gate]));
      tolerance =
          1.1 * tolerances[gate] * (std::fabs(static_cast<double>(products[gate + width])) + tolerances[gate + width]) +
          silu_bound * tolerances[gate + width];
    }
    ASSERT_NEAR(got[i], want[i], tolerance + 4 * unit * std::fabs(static_cast<double>(want[i])))
        << "row " << i / width << " output " << i % width;
  }
}

TEST_P(BackendConformance, linear_matches_reference_in_every_format_at_odd_sizes) {
  for (const DType dtype : weight_dtypes()) {
    for (const int64_t in : {1, 7, 32, 33, 96, 517, 544, 2080}) {
      if (is_blocked(dtype) && in % 32 != 0) continue;
      for (const int64_t out : {1, 5, 16, 33, 70})
        check_linear(GetParam(), {.dtype = dtype, .rows = 3, .in = in, .parts = {out}});
    }
  }
}

TEST_P(BackendConformance, linear_matches_reference_for_every_number_of_rows) {
  for (const DType dtype : weight_dtypes()) {
    for (int64_t rows = 1; rows <= 27; ++rows) {
      check_linear(GetParam(), {.dtype = dtype, .rows = rows, .in = 64, .parts = {40}});
    }
    check_linear(GetParam(), {.dtype = dtype, .rows = 531, .in = 64, .parts = {17}});
  }
}

TEST_P(BackendConformance, linear_stacks_parts_with_biases) {
  for (const DType dtype : weight_dtypes()) {
    check_linear(GetParam(), {.dtype = dtype, .rows = 5, .in = 64, .parts = {48, 16, 16}, .bias = true});
    check_linear(GetParam(), {.dtype = dtype, .rows = 5, .in = 64, .parts = {21, 3, 7}, .bias = true});
    check_linear(GetParam(), {.dtype = dtype, .rows = 2, .in = 64, .parts = {1, 1, 1}, .bias = true});
  }
}

TEST_P(BackendConformance, linear_applies_swiglu) {
  for (const DType dtype : weight_dtypes()) {
    for (const int64_t half : {1, 16, 37}) {
      for (const bool bias : {false, true}) {
        check_linear(GetParam(), {.dtype = dtype,
                                  .rows = 6,
                                  .in = 96,
                                  .parts = {half, half},
                                  .bias = bias,
                                  .epilogue = LinearArgs::Epilogue::kSwiGlu});
      }
    }
  }
}

TEST_P(BackendConformance, linear_row_has_the_same_bits_alone_and_in_any_batch) {
  if (!GetParam().batch_invariant) GTEST_SKIP() << "not promised in this mode";
  for (const DType dtype : weight_dtypes()) {
    for (const auto epilogue : {LinearArgs::Epilogue::kNone, LinearArgs::Epilogue::kSwiGlu}) {
      const LinearCase c = {
          .dtype = dtype, .rows = 600, .in = 1120, .parts = {35, 35}, .bias = true, .epilogue = epilogue};
      SCOPED_TRACE(c.name());
      const LinearData data(c);
      Rig rig(GetParam().make());
      const auto weight = rig.load(data.desc(c));
      const std::vector<float> together = run_linear(rig, *weight, c, data.x);
      const auto width = static_cast<size_t>(c.out_width());
      for (const int64_t rows : {1, 2, 5, 11, 13, 40}) {
        for (int64_t first = 0; first < 120; first += rows * 7) {
          const auto x = std::span(data.x).subspan(static_cast<size_t>(first * c.in), static_cast<size_t>(rows * c.in));
          const std::vector<float> part = run_linear(rig, *weight, c, x);
          const auto want = std::span(together).subspan(static_cast<size_t>(first) * width, part.size());
          ASSERT_TRUE(std::equal(part.begin(), part.end(), want.begin())) << rows << " rows from row " << first;
        }
      }
    }
  }
}

TEST_P(BackendConformance, linear_keeps_infinities_and_nans_in_their_row) {
  for (const DType dtype : weight_dtypes()) {
    LinearCase c = {.dtype = dtype, .rows = 4, .in = 64, .parts = {18}};
    LinearData data(c);
    data.x[64 + 3] = NAN;
    data.x[192 + 40] = INFINITY;
    Rig rig(GetParam().make());
    const auto weight = rig.load(data.desc(c));
    const std::vector<float> got = run_linear(rig, *weight, c, data.x);
    for (size_t i = 0; i < got.size(); ++i) {
      const bool clean = i / 18 % 2 == 0;
      EXPECT_EQ(std::isfinite(got[i]), clean) << dtype_info(dtype).name << " row " << i / 18 << " output " << i % 18;
    }
  }
}

}  // namespace cove::conformance
