#pragma once
// Products of stored weights with a few tokens by matrix instructions, eight inputs of each lane of a quad at a time.
// Included by kernels/*.cu.

#include "backends/cuda/kernels/language.h"
#include "backends/cuda/kernels/weight_values.h"

namespace cove::cuda::dev {

// Two matrix instructions: eight inputs of each lane of a quad.
__device__ __forceinline__ void multiply_octet(const uint32_t (&low)[4], const uint32_t (&high)[4], const Vec4& x,
                                               float (&sum)[4]) {
  const uint32_t a0[4] = {low[0], high[0], low[1], high[1]};
  const uint32_t b0[2] = {x.x, x.y};
  mma_bf16(sum, a0, b0);
  const uint32_t a1[4] = {low[2], high[2], low[3], high[3]};
  const uint32_t b1[2] = {x.z, x.w};
  mma_bf16(sum, a1, b1);
}

// kQ4 is multiplied with its offset, and the offset times the sum of x is taken away by a product of its own, which
// costs the matrix units little and the rest of the multiprocessor nothing.
template <WeightFormat kFormat>
__device__ __forceinline__ void group_octet(const Vec4& word, int octet, uint32_t (&pairs)[4]) {
  if constexpr (kFormat == WeightFormat::kQ4) {
    const uint32_t bits = octet == 0 ? word.x : octet == 1 ? word.y : octet == 2 ? word.z : word.w;
#pragma unroll
    for (int j = 0; j < 4; ++j) pairs[j] = nibbles_plus_offset(bits, j);
  } else {
    octet_values<kFormat>(word, octet, pairs);
  }
}

__device__ __forceinline__ void take_offset(const Vec4& x, float (&sum)[4]) {
  const uint32_t offset[4] = {kMinusNibbleOffset, kMinusNibbleOffset, kMinusNibbleOffset, kMinusNibbleOffset};
  multiply_octet(offset, offset, x, sum);
}

// The same in f16, with the offsets of half_octet(): x as inputs_to_f16() made it.
__device__ __forceinline__ void multiply_half_octet(const uint32_t (&low)[4], const uint32_t (&high)[4], const Vec4& x,
                                                    float (&sum)[4]) {
  const uint32_t a0[4] = {low[0], high[0], low[1], high[1]};
  const uint32_t b0[2] = {x.x, x.y};
  mma_f16(sum, a0, b0);
  const uint32_t a1[4] = {low[2], high[2], low[3], high[3]};
  const uint32_t b1[2] = {x.z, x.w};
  mma_f16(sum, a1, b1);
}
template <WeightFormat kFormat>
__device__ __forceinline__ void take_half_offset(const Vec4& x, float (&sum)[4]) {
  if constexpr (kFormat != WeightFormat::kE4M3) {
    constexpr uint32_t kEven = kFormat == WeightFormat::kQ4 ? kMinus1032 : kMinus1152;
    const uint32_t offset[4] = {kEven, kMinus1152, kEven, kMinus1152};
    multiply_half_octet(offset, offset, x, sum);
  }
}

}  // namespace cove::cuda::dev
