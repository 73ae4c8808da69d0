#pragma once
// Keys and values in e4m3 (KvLayout::dtype of compute/backend.h): a head of one position has a power of two of its own,
// 2^e, kept as the byte e + 127, which is also the exponent of 2^e as f32 and bf16. Included by kernels/*.cu.

#include "backends/cuda/kernels/language.h"
#include "backends/cuda/kernels/rows.h"
#include "backends/cuda/kernels/round_values.h"
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

// Where the powers of a page's head begin: [2: keys, values][page_tokens].
__device__ __forceinline__ unsigned char* powers_of(const LayerCache& cache, int64_t page, int32_t kv_head) {
  return static_cast<unsigned char*>(cache.powers) + (page * cache.kv_heads + kv_head) * 2 * cache.page_tokens;
}

__device__ __forceinline__ uint32_t magnitude_bits(float value) { return float_to_bits(value) & 0x7FFFFFFFU; }
__device__ __forceinline__ uint32_t larger_of(uint32_t a, uint32_t b) { return a > b ? a : b; }
// Of eight bf16 values.
__device__ __forceinline__ uint32_t most_bits(const Vec4& octet) {
  const uint32_t pairs[4] = {octet.x, octet.y, octet.z, octet.w};
  uint32_t most = 0;
#pragma unroll
  for (int i = 0; i < 4; ++i)
    most = larger_of(most, larger_of(pairs[i] << 16 & 0x7FFF0000U, pairs[i] & 0x7FFF0000U));
  return most;
}

// A bf16 value's code; inverse = inverse_power(power).
__device__ __forceinline__ uint32_t cache_code(float value, uint32_t power, float inverse) {
  constexpr uint32_t kNan = 0x7F;
  return power == kNotFinite ? kNan : to_e4m3(value * inverse);
}
__device__ __forceinline__ Vec2 cache_codes(const Vec4& octet, uint32_t power) {
  const uint32_t pairs[4] = {octet.x, octet.y, octet.z, octet.w};
  const float inverse = inverse_power(power);
  uint32_t words[2] = {0, 0};
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const uint32_t two = cache_code(low_bf16(pairs[i]), power, inverse) |
                         cache_code(high_bf16(pairs[i]), power, inverse) << 8;
    words[i / 2] |= two << (i % 2 * 16);
  }
  return {words[0], words[1]};
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
