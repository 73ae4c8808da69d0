#include "tensor/formats/float16.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <gtest/gtest.h>

namespace cove {
namespace {

// Straight from the definition of a format with `mantissa_bits` and `exponent_bits`, in double.
double value_by_definition(uint32_t bits, int exponent_bits, int mantissa_bits) {
  const int exponent_max = (1 << exponent_bits) - 1;
  const int bias = exponent_max / 2;
  const int exponent = static_cast<int>(bits >> mantissa_bits) & exponent_max;
  const auto mantissa = static_cast<double>(bits & ((1U << mantissa_bits) - 1));
  const double sign = ((bits >> (mantissa_bits + exponent_bits)) & 1) != 0 ? -1.0 : 1.0;
  if (exponent == exponent_max) return mantissa != 0 ? NAN : sign * INFINITY;
  if (exponent == 0) return sign * std::ldexp(mantissa, 1 - bias - mantissa_bits);
  return sign * std::ldexp(mantissa + std::ldexp(1.0, mantissa_bits), exponent - bias - mantissa_bits);
}

// Nearest with ties to even, by comparing with both neighbours of the 15-bit magnitude.
uint16_t round_by_definition(float value, int exponent_bits, int mantissa_bits) {
  const uint16_t sign = std::signbit(value) ? 0x8000 : 0;
  const double magnitude = std::fabs(static_cast<double>(value));
  const auto infinity = static_cast<uint16_t>(((1U << exponent_bits) - 1) << mantissa_bits);
  uint16_t low = 0;
  uint16_t high = infinity;  // value(low) <= magnitude < value(high), with the unbounded grid above the largest value
  while (high - low > 1) {
    const auto middle = static_cast<uint16_t>((low + high) / 2);
    (value_by_definition(middle, exponent_bits, mantissa_bits) <= magnitude ? low : high) = middle;
  }
  const double below = value_by_definition(low, exponent_bits, mantissa_bits);
  const double spacing = low == infinity - 1 ? below - value_by_definition(low - 1U, exponent_bits, mantissa_bits)
                                             : value_by_definition(high, exponent_bits, mantissa_bits) - below;
  const double rest = magnitude - below;
  const bool up = rest > spacing / 2 || (rest == spacing / 2 && (low & 1) != 0);
  return static_cast<uint16_t>(sign | (up ? high : low));
}

template <class Check>
void for_many_floats(Check check) {
  for (uint64_t bits = 0; bits <= 0xffffffffU; bits += 40961) check(std::bit_cast<float>(static_cast<uint32_t>(bits)));
}

TEST(Float16, decodes_every_half_as_defined) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto expected = static_cast<float>(value_by_definition(bits, 5, 10));
    const float actual = f16_to_f32(static_cast<uint16_t>(bits));
    if (std::isnan(expected)) {
      EXPECT_TRUE(std::isnan(actual)) << bits;
    } else {
      EXPECT_EQ(std::bit_cast<uint32_t>(actual), std::bit_cast<uint32_t>(expected)) << bits;
    }
  }
}

TEST(Float16, every_value_comes_back) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    const uint16_t quiet_half = (half & 0x7fff) > 0x7c00 ? half | 0x0200 : half;
    const uint16_t quiet_bf16 = (half & 0x7fff) > 0x7f80 ? half | 0x0040 : half;
    EXPECT_EQ(f32_to_f16(f16_to_f32(half)), quiet_half) << bits;
    EXPECT_EQ(f32_to_bf16(bf16_to_f32(half)), quiet_bf16) << bits;
  }
}

TEST(Float16, rounds_to_the_nearest_with_ties_to_even) {
  for_many_floats([](float value) {
    if (std::isnan(value)) return;
    if (std::isinf(value)) return;
    EXPECT_EQ(f32_to_f16(value), round_by_definition(value, 5, 10)) << value;
    EXPECT_EQ(f32_to_bf16(value), round_by_definition(value, 8, 7)) << value;
  });
}

TEST(Float16, rounds_exactly_at_and_beside_every_tie_between_halves) {
  for (uint16_t half = 0; half < 0x7bff; ++half) {
    const float tie = (f16_to_f32(half) + f16_to_f32(static_cast<uint16_t>(half + 1))) / 2;
    const uint16_t even = half % 2 == 0 ? half : half + 1;
    EXPECT_EQ(f32_to_f16(tie), even);
    EXPECT_EQ(f32_to_f16(std::nextafter(tie, 0.0F)), half);
    EXPECT_EQ(f32_to_f16(std::nextafter(tie, 1e9F)), half + 1);
  }
}

TEST(Float16, large_values_and_infinities_become_infinity) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(f32_to_f16(65519.996F), 0x7bff);
  EXPECT_EQ(f32_to_f16(65520.0F), 0x7c00);
  EXPECT_EQ(f32_to_f16(-kInfinity), 0xfc00);
  EXPECT_EQ(f32_to_bf16(std::numeric_limits<float>::max()), 0x7f80);
  EXPECT_EQ(f32_to_bf16(-kInfinity), 0xff80);
}

TEST(Float16, not_a_number_stays_one_and_keeps_its_payload) {
  for (const uint32_t bits : {0x7f800001U, 0x7fc00000U, 0xffffffffU, 0x7fbfffffU}) {
    const float nan = std::bit_cast<float>(bits);
    EXPECT_TRUE(std::isnan(f16_to_f32(f32_to_f16(nan))));
    EXPECT_TRUE(std::isnan(bf16_to_f32(f32_to_bf16(nan))));
  }
  EXPECT_EQ(f32_to_f16(std::bit_cast<float>(0xffd54000U)), 0xfeaa);
}

}  // namespace
}  // namespace cove
