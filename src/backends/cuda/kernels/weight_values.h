#pragma once
// The order of inputs inside a row of each WeightFormat, and from stored bits to bf16. One 16-byte word of a row
// belongs to lane t of a quad of four lanes; chunk = the inputs that a quad's four words hold. Included by
// kernels/*.cu.

#include "backends/cuda/kernels/language.h"
#include "backends/cuda/plan/weight_layout.h"

namespace cove::cuda::dev {

// Inputs in one 16-byte word.
template <WeightFormat kFormat>
constexpr int kWordInputs = kFormat == WeightFormat::kBF16 ? 8
                            : kFormat == WeightFormat::kQ4 ? 32
                                                           : 16;

// Eight inputs in a row, `octet` of lane t's word: where in the chunk they begin. kQ8 and kQ4 hold to blocks of 32, so
// that one matrix instruction stays inside one scale; the others lie as they come.
template <WeightFormat kFormat>
__device__ __forceinline__ constexpr int octet_begin(int t, int octet) {
  return kFormat == WeightFormat::kBF16                                     ? 8 * t
         : kFormat == WeightFormat::kInt8 || kFormat == WeightFormat::kE4M3 ? 16 * t + 8 * octet
                                                                            : 32 * octet + 8 * t;
}

// int8 values of a 32-bit word, as pairs of bf16 (exact).
__device__ __forceinline__ void bytes_to_bf16(uint32_t word, uint32_t& first, uint32_t& second) {
  const uint32_t shifted = word ^ 0x80808080U;  // plus 128
  float values[4];
  for (unsigned i = 0; i < 4; ++i) {
    // 2^23 + value: the byte becomes the last bits of the significand.
    values[i] = bits_to_float(byte_permute(shifted, 0x4B000000U, 0x7440U | i)) - 8388736.0F;
  }
  first = pack_bf16(values[0], values[1]);
  second = pack_bf16(values[2], values[3]);
}

// e4m3 likewise: its exponent and mantissa moved into bf16's, which is 2^120 too small.
__device__ __forceinline__ void fp8_to_bf16(uint32_t word, uint32_t& first, uint32_t& second) {
  const uint32_t low = byte_permute(word, 0, 0x1404U);
  const uint32_t high = byte_permute(word, 0, 0x3424U);
  first = mul_bf16x2((low & 0x80008000U) | ((low >> 4) & 0x07F007F0U), 0x7B807B80U);
  second = mul_bf16x2((high & 0x80008000U) | ((high >> 4) & 0x07F007F0U), 0x7B807B80U);
}

// Pair j (values 2 j and 2 j + 1) of the eight 4-bit values of a word: nibbles j and j + 4. 0x4300 is 128 in bf16,
// whose last bit is 1.
__device__ __forceinline__ uint32_t nibbles_to_bf16(uint32_t word, int j) {
  return sub_bf16x2(((word >> (4 * j)) & 0x000F000FU) | 0x43004300U, 0x43084308U);
}

// Octet `octet` of a word as four bf16 pairs, without its scale.
template <WeightFormat kFormat>
__device__ __forceinline__ void octet_values(const Vec4& word, int octet, uint32_t (&pairs)[4]) {
  if constexpr (kFormat == WeightFormat::kBF16) {
    pairs[0] = word.x;
    pairs[1] = word.y;
    pairs[2] = word.z;
    pairs[3] = word.w;
  } else if constexpr (kFormat == WeightFormat::kQ4) {
    const uint32_t bits = octet == 0 ? word.x : octet == 1 ? word.y : octet == 2 ? word.z : word.w;
    for (int j = 0; j < 4; ++j) pairs[j] = nibbles_to_bf16(bits, j);
  } else {
    const uint32_t low = octet == 0 ? word.x : word.z;
    const uint32_t high = octet == 0 ? word.y : word.w;
    if constexpr (kFormat == WeightFormat::kE4M3) {
      fp8_to_bf16(low, pairs[0], pairs[1]);
      fp8_to_bf16(high, pairs[2], pairs[3]);
    } else {
      bytes_to_bf16(low, pairs[0], pairs[1]);
      bytes_to_bf16(high, pairs[2], pairs[3]);
    }
  }
}

}  // namespace cove::cuda::dev
