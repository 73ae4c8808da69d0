// The oracle itself: worked by hand where that is possible, and through the conformance suite for what the suite
// promises beyond equality with the oracle (batch invariance, stale pages, copies, refusals).
#include <algorithm>
#include <cmath>

#include "compute/conformance/conformance.h"
#include "compute/reference/reference_tensors.h"

namespace cove::conformance {

INSTANTIATE_TEST_SUITE_P(Reference, BackendConformance,
                         ::testing::Values(BackendCase{
                             .name = "reference",
                             .make = make_reference_backend,
                             .rounding = [](DType) { return Rounding::kF32; },
                             .caches = {DType::kF32, DType::kF16, DType::kBF16, DType::kE4M3}}),
                         case_name);

TEST(Reference, rounds_to_half_precision_as_the_codec_does) {
  for (const DType dtype : {DType::kF16, DType::kBF16}) {
    std::vector<float> values = random_values(4000, 1, 300.0F);
    for (size_t i = 0; i < values.size(); ++i) values[i] *= std::ldexp(1.0F, static_cast<int>(i % 60) - 40);
    for (const float edge : {0.0F, 65504.0F, 65519.0F, 65520.0F, 1e9F, 6e-8F, 3e-8F, 1e-40F, INFINITY})
      values.push_back(edge);
    std::vector<std::byte> bytes(values.size() * 2);
    ASSERT_TRUE(encode(dtype, values, bytes).has_value() || dtype == DType::kF16);
    std::vector<float> want(values.size());
    decode(dtype, bytes, want);
    for (size_t i = 0; i < values.size(); ++i) EXPECT_EQ(reference::round_to(dtype, values[i]), want[i]) << values[i];
  }
}

// By looking at every code of e4m3.
float nearest_of_all_codes(float value, int exponent) {
  float best = 0;
  for (int code = 0; code < 0x7F; ++code) {
    const int field = code >> 3;
    const float size =
        std::ldexp(static_cast<float>(field == 0 ? code & 7 : 8 + (code & 7)), std::max(field, 1) - 10 + exponent);
    const float better = std::fabs(size - std::fabs(value)) - std::fabs(best - std::fabs(value));
    if (better < 0 || (better == 0 && code % 2 == 0)) best = size;
  }
  return std::copysign(best, value);
}

TEST(Reference, an_fp8_head_has_the_smallest_power_of_two_that_holds_its_largest_value) {
  std::vector<float> head = random_values(64, 3, 2.0F);
  for (const float largest : {448.0F, 449.0F, 896.0F, 7.0F, 1e-3F, 3e30F}) {
    head[17] = -largest;
    std::vector<float> bf16(head.size());
    reference::round_head(DType::kBF16, head, bf16.data());
    for (float& value : bf16) value = std::clamp(value, -largest, largest);
    int exponent = -30;
    while (448.0 * std::ldexp(1.0, exponent) < static_cast<double>(std::fabs(bf16[17]))) ++exponent;
    std::vector<float> rounded(head.size());
    reference::round_head(DType::kE4M3, bf16, rounded.data());
    for (size_t i = 0; i < head.size(); ++i) EXPECT_EQ(rounded[i], nearest_of_all_codes(bf16[i], exponent)) << bf16[i];
  }
}

TEST(Reference, an_fp8_head_keeps_an_outliers_neighbours_and_shows_what_is_not_finite) {
  // A key with one channel of 300: without a power of its own nothing would be lost either; with 3 000 all would be
  // cut.
  const std::vector<float> head = {3000, 1, -0.5F, 0.125F};
  std::vector<float> out(4);
  reference::round_head(DType::kE4M3, head, out.data());
  EXPECT_EQ(out, (std::vector<float>{3072, 1, -0.5F, 0.125F}));
  reference::round_head(DType::kE4M3, std::vector<float>{0, 0, 1e-20F, 0}, out.data());
  EXPECT_EQ(out, (std::vector<float>{0, 0, 0, 0}));
  for (const float bad : {INFINITY, -INFINITY, NAN}) {
    reference::round_head(DType::kE4M3, std::vector<float>{1, bad, 2, 3}, out.data());
    for (const float value : out) EXPECT_TRUE(std::isnan(value));
  }
}

TEST(Reference, an_fp8_cache_takes_a_byte_a_value_and_one_a_power) {
  const KvLayout bf16{.layers = 28, .kv_heads = 4, .head_dim = 128, .page_tokens = 16, .dtype = DType::kBF16};
  KvLayout fp8 = bf16;
  fp8.dtype = DType::kE4M3;
  EXPECT_EQ(bf16.page_bytes(), 2U * 28 * 16 * 4 * 128 * 2);
  EXPECT_EQ(fp8.page_bytes(), 2U * 28 * 16 * 4 * (128 + 1));
}

TEST(Reference, decodes_every_format_as_the_codec_does) {
  for (const DType dtype : weight_dtypes()) {
    const HostTensor tensor(dtype, {3, 64}, random_values(192, 2));
    EXPECT_EQ(reference::decode_tensor(tensor.view()), tensor.values()) << dtype_info(dtype).name;
  }
}

TEST(Reference, linear_computes_a_product_worked_by_hand) {
  Rig rig = reference_rig();
  const HostTensor weight(DType::kF32, {2, 3}, std::vector<float>{1, 2, 3, -1, 0, 4});
  const HostTensor bias(DType::kF32, {2}, std::vector<float>{10, -1});
  const auto linear = rig.load({.name = "w", .parts = {{.weight = weight.view(), .bias = bias.view()}}});
  const TensorView x = rig.upload(1, 3, std::vector<float>{1, 1, 2});
  const TensorView out = rig.make(1, 2);
  rig.step([&] { rig.backend().linear({.x = x, .weight = linear.get(), .out = out}); });
  EXPECT_EQ(rig.download(out), (std::vector<float>{19, 6}));
}

TEST(Reference, attention_of_equal_keys_is_the_mean_of_the_values) {
  // Position 0 is not rotated by rope; equal scores need equal keys, so keys are zero.
  const AttentionCase c = {.heads = 1, .kv_heads = 1, .head_dim = 2};
  AttentionRig rig(make_reference_backend(), c);
  SequenceBook book(16);
  const std::vector<float> qkv = {1, 2, 0, 0, 6, 1, 1, 2, 0, 0, 2, 3};
  const auto got = rig.run(book.next({{0, 2}}), qkv, 0);
  EXPECT_EQ(got.attention, (std::vector<float>{6, 1, 4, 2}));
}

TEST(Reference, refuses_formats_that_hold_no_numbers) {
  const auto backend = make_reference_backend();
  EXPECT_FALSE(backend->supports({.kind = OpKind::kLinear, .dtype = DType::kI32}).has_value());
  EXPECT_FALSE(backend->supports({.kind = OpKind::kKvCache, .dtype = DType::kQ8_0}).has_value());
  EXPECT_TRUE(backend->supports({.kind = OpKind::kLinear, .dtype = DType::kQ4_0}).has_value());
}

}  // namespace cove::conformance
