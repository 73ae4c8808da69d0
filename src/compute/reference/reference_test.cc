// The oracle itself: worked by hand where that is possible, and through the conformance suite for what the suite
// promises beyond equality with the oracle (batch invariance, stale pages, copies, refusals).
#include <cmath>

#include "compute/conformance/conformance.h"
#include "compute/reference/reference_tensors.h"

namespace cove::conformance {

INSTANTIATE_TEST_SUITE_P(Reference, BackendConformance,
                         ::testing::Values(BackendCase{.name = "reference",
                                                       .make = make_reference_backend,
                                                       .rounding = [](DType) { return Rounding::kF32; }}),
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
