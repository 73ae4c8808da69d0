#pragma once
// Operations on single rows: embed, rms_norm, gather_rows, sample. Included by conformance.h.

#include <algorithm>

#include "compute/conformance/fixture.h"
#include "compute/conformance/linear_rig.h"

namespace cove::conformance {

TEST_P(BackendConformance, embed_looks_up_rows_of_every_format) {
  for (const DType dtype : weight_dtypes()) {
    for (const int64_t width : {32, 96, 33}) {
      if (is_blocked(dtype) && width % 32 != 0) continue;
      SCOPED_TRACE(std::string(dtype_info(dtype).name) + " width " + std::to_string(width));
      const HostTensor table(dtype, {7, width}, random_values(7 * width, 1));
      const std::vector<float> rows = table.values();
      const std::vector<int32_t> tokens = {6, 0, 3, 3, 1, 5, 2, 4, 6, 6};
      Rig rig(GetParam().make());
      const Result<std::unique_ptr<RowTable>> loaded = rig.backend().load_row_table(table.view());
      ASSERT_TRUE(loaded.has_value());
      const TensorView out = rig.make(10, width);
      rig.step([&] { rig.backend().embed({.table = loaded->get(), .tokens = tokens, .out = out}); });
      const std::vector<float> got = rig.download(out);
      const double unit = out.dtype == DType::kF32 ? 0 : activation_unit(out.dtype);
      for (size_t i = 0; i < got.size(); ++i) {
        const float want = rows[static_cast<size_t>(tokens[i / static_cast<size_t>(width)]) * width + i % width];
        ASSERT_NEAR(got[i], want, unit * std::fabs(want)) << i;
      }
    }
  }
}

struct NormResult {
  std::vector<float> residual;
  std::vector<float> out;
};
struct NormInput {
  int64_t rows = 0;
  int64_t width = 0;
  std::vector<float> residual{};
  std::vector<float> delta{};  // empty = none
  std::vector<float> scale{};
  float eps = 1e-6F;
};

inline NormInput make_norm_input(int64_t rows, int64_t width, bool with_delta) {
  NormInput input = {.rows = rows, .width = width, .residual = random_values(rows * width, 2, 3.0F)};
  if (with_delta) input.delta = random_values(rows * width, 3);
  input.scale = random_values(width, 4);
  return input;
}

inline NormResult run_norm(Rig& rig, const NormInput& input) {
  const TensorView residual = rig.upload(input.rows, input.width, input.residual);
  TensorView delta;
  if (!input.delta.empty()) delta = rig.upload(input.rows, input.width, input.delta);
  const ConstantVector scale = rig.vector(input.scale);
  const TensorView out = rig.make(input.rows, input.width);
  rig.step([&] {
    rig.backend().rms_norm({.residual = residual, .delta = delta, .scale = scale.get(), .eps = input.eps, .out = out});
  });
  return {.residual = rig.download(residual), .out = rig.download(out)};
}

TEST_P(BackendConformance, rms_norm_matches_reference_at_odd_widths_with_and_without_delta) {
  for (const int64_t width : {1, 7, 16, 33, 100, 1536}) {
    for (const bool with_delta : {false, true}) {
      SCOPED_TRACE("width " + std::to_string(width) + (with_delta ? " delta" : ""));
      const NormInput input = make_norm_input(9, width, with_delta);
      Rig reference = reference_rig();
      Rig rig(GetParam().make());
      const NormResult want = run_norm(reference, input);
      const NormResult got = run_norm(rig, input);
      const double unit = activation_unit(rig.backend().activation_dtype());
      EXPECT_LE(row_error(got.residual, want.residual, width), 4 * unit);
      EXPECT_LE(row_error(got.out, want.out, width), (8 + std::sqrt(static_cast<double>(width))) * unit);
    }
  }
}

TEST_P(BackendConformance, rms_norm_of_a_row_has_the_same_bits_in_any_batch) {
  const NormInput all = make_norm_input(21, 70, true);
  Rig rig(GetParam().make());
  const NormResult together = run_norm(rig, all);
  for (int64_t row = 0; row < all.rows; ++row) {
    const auto cut = [&](const std::vector<float>& from) {
      return std::vector<float>(from.begin() + row * 70, from.begin() + (row + 1) * 70);
    };
    const NormResult alone = run_norm(
        rig, {.rows = 1, .width = 70, .residual = cut(all.residual), .delta = cut(all.delta), .scale = all.scale});
    ASSERT_EQ(alone.out, cut(together.out)) << "row " << row;
  }
}

TEST_P(BackendConformance, gather_rows_copies_the_named_rows) {
  Rig rig(GetParam().make());
  const TensorView in = rig.upload(5, 19, random_values(5 * 19, 5));
  const std::vector<int32_t> rows = {0, 2, 2, 4};
  const TensorView out = rig.make(4, 19);
  rig.step([&] { rig.backend().gather_rows({.in = in, .rows = rows, .out = out}); });
  const std::vector<float> from = rig.download(in);
  const std::vector<float> got = rig.download(out);
  for (size_t i = 0; i < got.size(); ++i) ASSERT_EQ(got[i], from[static_cast<size_t>(rows[i / 19]) * 19 + i % 19]);
}

TEST_P(BackendConformance, sample_gives_the_host_definitions_tokens) {
  constexpr int64_t kRows = 12;
  constexpr int64_t kVocab = 517;
  // Logits reach an f32 view by way of a linear layer that copies: the identity.
  Rig rig(GetParam().make());
  const std::vector<float> values = random_values(kRows * kVocab, 6, 2.0F);
  std::vector<float> identity(static_cast<size_t>(kVocab * kVocab));
  for (int64_t i = 0; i < kVocab; ++i) identity[static_cast<size_t>(i * kVocab + i)] = 1.0F;
  const HostTensor weight(DType::kF32, {kVocab, kVocab}, identity);
  const auto linear = rig.load({.name = "identity", .parts = {{.weight = weight.view()}}});
  const TensorView x = rig.upload(kRows, kVocab, values);
  const TensorView logits = rig.make(kRows, kVocab, DType::kF32);
  std::vector<SampleParams> params(kRows);
  for (size_t r = 0; r < params.size(); ++r) {
    params[r].temperature = r % 3 == 0 ? 0.0F : 0.8F;
    params[r].top_p = r % 2 == 0 ? 0.9F : 1.0F;
    params[r].seed = 77 + r;
    params[r].position = static_cast<int64_t>(100 * r);
    params[r].top_logprobs = r % 4 == 1 ? 3 : -1;
  }
  std::vector<SampleResult> results(kRows);
  rig.step([&] {
    rig.backend().linear({.x = x, .weight = linear.get(), .out = logits});
    rig.backend().sample({.logits = logits, .params = params, .results = results});
  });
  const std::vector<float> rows = rig.download(logits);
  SampleScratch scratch;
  for (size_t r = 0; r < params.size(); ++r) {
    const SampleResult want = sample_row(std::span(rows).subspan(r * kVocab, kVocab), params[r], scratch);
    EXPECT_EQ(results[r].token, want.token) << "row " << r;
    ASSERT_EQ(results[r].top.size(), want.top.size());
    for (size_t i = 0; i < want.top.size(); ++i) EXPECT_EQ(results[r].top[i].token, want.top[i].token);
  }
}

}  // namespace cove::conformance
