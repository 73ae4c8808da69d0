#pragma once
// Rounding to e4m3 and to integers. Included by kernels/*.cu.

#include "backends/cuda/kernels/language.h"

namespace cove::cuda::dev {

__device__ __forceinline__ float magnitude(float value) { return value < 0 ? -value : value; }

// To the nearest e4m3, ties to even; |value| at most 448.
__device__ __forceinline__ unsigned char to_e4m3(float value) {
  const float size = magnitude(value);
  const unsigned sign = value < 0 ? 0x80U : 0U;
  if (size < 0.015625F) return static_cast<unsigned char>(sign | static_cast<unsigned>(round_nearest(size * 512.0F)));
  const uint32_t bits = float_to_bits(size);
  const uint32_t rounded = (bits + 0x7FFFFU + ((bits >> 20) & 1U)) >> 20;  // 3 bits of significand left
  const uint32_t code = rounded - (120U << 3);                             // exponent bias 127 to 7
  return static_cast<unsigned char>(sign | (code > 0x7EU ? 0x7EU : code));
}

// Two, in the low 16 bits.
__device__ __forceinline__ uint32_t to_e4m3_pair(float low, float high) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 890
  uint16_t pair;
  asm("cvt.rn.satfinite.e4m3x2.f32 %0, %1, %2;" : "=h"(pair) : "f"(high), "f"(low));
  return pair;
#else
  return to_e4m3(low) | static_cast<uint32_t>(to_e4m3(high)) << 8;
#endif
}

__device__ __forceinline__ int to_quant(float value, float inverse, float limit) {
  float q = round_nearest(value * inverse);
  q = q > limit ? limit : q < -limit ? -limit : q;
  return static_cast<int>(q);
}

}  // namespace cove::cuda::dev
