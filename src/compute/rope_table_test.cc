#include "compute/rope_table.h"

#include <cmath>
#include <numbers>

#include <gtest/gtest.h>

namespace cove {
namespace {

TEST(RopeTable, plain_is_powers_of_theta) {
  const RopeTable table = make_rope_table({.dim = 8, .theta = 10000.0});
  ASSERT_EQ(table.inv_freq.size(), 4U);
  EXPECT_FLOAT_EQ(table.inv_freq[0], 1.0F);
  EXPECT_FLOAT_EQ(table.inv_freq[1], 0.1F);
  EXPECT_FLOAT_EQ(table.inv_freq[2], 0.01F);
  EXPECT_FLOAT_EQ(table.inv_freq[3], 0.001F);
  EXPECT_EQ(table.scale, 1.0F);
}

TEST(RopeTable, linear_divides_by_the_factor) {
  const RopeTable table =
      make_rope_table({.kind = RopeTableArgs::Kind::kLinear, .dim = 4, .theta = 100.0, .factor = 4.0});
  EXPECT_FLOAT_EQ(table.inv_freq[0], 0.25F);
  EXPECT_FLOAT_EQ(table.inv_freq[1], 0.025F);
}

// Llama 3.2's values: the ends are kept and divided, the middle is blended between.
TEST(RopeTable, llama3_keeps_short_waves_and_stretches_long_ones) {
  const RopeTableArgs args{.kind = RopeTableArgs::Kind::kLlama3,
                           .dim = 64,
                           .theta = 500000.0,
                           .factor = 32.0,
                           .low_freq_factor = 1.0,
                           .high_freq_factor = 4.0,
                           .original_context = 8192};
  const RopeTable scaled = make_rope_table(args);
  const RopeTable plain = make_rope_table({.dim = 64, .theta = 500000.0});
  for (size_t i = 0; i < 32; ++i) {
    const double wavelength = 2 * std::numbers::pi / static_cast<double>(plain.inv_freq[i]);
    if (wavelength < 2048) {
      EXPECT_FLOAT_EQ(scaled.inv_freq[i], plain.inv_freq[i]);
    } else if (wavelength > 8192) {
      EXPECT_FLOAT_EQ(scaled.inv_freq[i], plain.inv_freq[i] / 32.0F);
    } else {
      EXPECT_LT(scaled.inv_freq[i], plain.inv_freq[i]);
      EXPECT_GT(scaled.inv_freq[i], plain.inv_freq[i] / 32.0F);
    }
  }
}

TEST(RopeTable, yarn_blends_and_scales_attention) {
  RopeTableArgs args{
      .kind = RopeTableArgs::Kind::kYarn, .dim = 128, .theta = 1e6, .factor = 4.0, .original_context = 32768};
  const RopeTable scaled = make_rope_table(args);
  const RopeTable plain = make_rope_table({.dim = 128, .theta = 1e6});
  EXPECT_FLOAT_EQ(scaled.inv_freq.front(), plain.inv_freq.front());
  EXPECT_FLOAT_EQ(scaled.inv_freq.back(), plain.inv_freq.back() / 4.0F);
  EXPECT_FLOAT_EQ(scaled.scale, static_cast<float>(0.1 * std::log(4.0) + 1.0));
  for (size_t i = 0; i < 64; ++i) {
    EXPECT_LE(scaled.inv_freq[i], plain.inv_freq[i] * 1.000001F);
    EXPECT_GE(scaled.inv_freq[i], plain.inv_freq[i] / 4.000001F);
  }
  args.attention_factor = 1.5;
  EXPECT_FLOAT_EQ(make_rope_table(args).scale, 1.5F);
}

TEST(RopeTable, frequency_factors_divide) {
  const RopeTable table = make_rope_table({.dim = 4, .theta = 100.0, .frequency_factors = {1.0F, 8.0F}});
  EXPECT_FLOAT_EQ(table.inv_freq[0], 1.0F);
  EXPECT_FLOAT_EQ(table.inv_freq[1], 0.0125F);
}

}  // namespace
}  // namespace cove
