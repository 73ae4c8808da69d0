#pragma once
// Products of stored weights with a few tokens by matrix instructions, eight inputs of each lane of a quad at a time.
// Included by kernels/*.cu.

#include "backends/cuda/kernels/language.h"
#include "backends/cuda/kernels/weight_values.h"

namespace cove::cuda::dev {

// Two matrix instructions: eight inputs of each lane of a quad, both operands in bf16 or both in f16.
enum class Operands : uint8_t { kBF16, kF16 };
template <Operands kOperands>
__device__ __forceinline__ void multiply_octet(const uint32_t (&low)[4], const uint32_t (&high)[4], const Vec4& x,
                                               float (&sum)[4]) {
  constexpr auto kMultiply = kOperands == Operands::kBF16 ? mma_bf16 : mma_f16;
  const uint32_t a0[4] = {low[0], high[0], low[1], high[1]};
  const uint32_t b0[2] = {x.x, x.y};
  kMultiply(sum, a0, b0);
  const uint32_t a1[4] = {low[2], high[2], low[3], high[3]};
  const uint32_t b1[2] = {x.z, x.w};
  kMultiply(sum, a1, b1);
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
  multiply_octet<Operands::kBF16>(offset, offset, x, sum);
}

// Likewise for half_octet(): x as inputs_to_f16() made it.
template <WeightFormat kFormat>
__device__ __forceinline__ void take_half_offset(const Vec4& x, float (&sum)[4]) {
  if constexpr (kFormat != WeightFormat::kE4M3) {
    constexpr uint32_t kEven = kFormat == WeightFormat::kQ4 ? kMinus1032 : kMinus1152;
    const uint32_t offset[4] = {kEven, kMinus1152, kEven, kMinus1152};
    multiply_octet<Operands::kF16>(offset, offset, x, sum);
  }
}

}  // namespace cove::cuda::dev
