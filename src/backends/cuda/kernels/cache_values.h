#pragma once
// Keys and values in e4m3 (KvLayout::dtype of compute/backend.h): a head of one position has a power of two of its own,
// 2^e, kept as the byte e + 127, which is also the exponent of 2^e as f32 and bf16. Included by kernels/*.cu.

#include "backends/cuda/kernels/language.h"
#include "backends/cuda/kernels/round_values.h"
#include "backends/cuda/kernels/rows.h"
#include "backends/cuda/kernels/weight_values.h"

namespace cove::cuda::dev {

constexpr uint32_t kPowerMin = 127 - 30;
constexpr uint32_t kNotFinite = 255;  // of a head with an infinity or a NaN; its values are NaN

// The byte for a head whose largest magnitude has these bits as f32.
__device__ __forceinline__ uint32_t power_for(uint32_t bits) {
  if (bits >= 0x7F800000U) return kNotFinite;
  // 448 = 1.75 * 2^8: a significand above 1.75 carries into the exponent.
  const uint32_t exponent = (bits + 0x1FFFFFU) >> 23;
  return exponent > kPowerMin + 8 ? exponent - 8 : kPowerMin;
}
__device__ __forceinline__ float power_of(uint32_t byte) { return bits_to_float(byte << 23); }
__device__ __forceinline__ float inverse_power(uint32_t byte) { return bits_to_float((254U - byte) << 23); }

enum CacheSide : int { kKeySide = 0, kValueSide = 1 };

// Where the power of a row of a side lies, rows being counted as [pages][kv_heads][page_tokens]. Those of kPowerRows
// rows lie together, keys' then values': what a step of decoding reads is one sector of memory.
__device__ __forceinline__ int64_t power_at(int64_t row, int side) {
  return row / kPowerRows * (2 * kPowerRows) + side * kPowerRows + row % kPowerRows;
}

__device__ __forceinline__ uint32_t magnitude_bits(float value) { return float_to_bits(value) & 0x7FFFFFFFU; }
__device__ __forceinline__ uint32_t larger_of(uint32_t a, uint32_t b) { return a > b ? a : b; }
// Of eight bf16 values.
__device__ __forceinline__ uint32_t most_bits(const Vec4& octet) {
  const uint32_t pairs[4] = {octet.x, octet.y, octet.z, octet.w};
  uint32_t most = 0;
#pragma unroll
  for (int i = 0; i < 4; ++i) most = larger_of(most, larger_of(pairs[i] << 16 & 0x7FFF0000U, pairs[i] & 0x7FFF0000U));
  return most;
}

// The codes of two bf16 values; inverse = inverse_power(power).
constexpr uint32_t kNanCodes = 0x7F7F7F7FU;
__device__ __forceinline__ uint32_t cache_code_pair(float low, float high, uint32_t power, float inverse) {
  return power == kNotFinite ? kNanCodes & 0xFFFFU : to_e4m3_pair(low * inverse, high * inverse);
}
// Of eight.
__device__ __forceinline__ Vec2 cache_codes(const Vec4& octet, uint32_t power) {
  if (power == kNotFinite) return {kNanCodes, kNanCodes};
  const uint32_t pairs[4] = {octet.x, octet.y, octet.z, octet.w};
  const float inverse = inverse_power(power);
  uint32_t codes[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) codes[i] = to_e4m3_pair(low_bf16(pairs[i]) * inverse, high_bf16(pairs[i]) * inverse);
  return {codes[0] | codes[1] << 16, codes[2] | codes[3] << 16};
}

// Eight codes as bf16, exact; NaN where the power says so.
__device__ __forceinline__ Vec4 cached_octet(const Vec2& codes, uint32_t power) {
  const uint32_t factor = (power == kNotFinite ? 0x7FFFU : power << 7) * 0x10001U;
  Vec4 v;
  fp8_to_bf16(codes.x, v.x, v.y);
  fp8_to_bf16(codes.y, v.z, v.w);
  return {mul_bf16x2(v.x, factor), mul_bf16x2(v.y, factor), mul_bf16x2(v.z, factor), mul_bf16x2(v.w, factor)};
}

}  // namespace cove::cuda::dev
