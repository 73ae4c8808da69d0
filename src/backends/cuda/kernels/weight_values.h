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

// int8 values in the low bytes of two halves, as a pair of bf16 (exact): seven bits make 128 + them, the sign takes 128
// or 256 away.
__device__ __forceinline__ uint32_t byte_pair_to_bf16(uint32_t halves) {
  return sub_bf16x2((halves & 0x007F007FU) | 0x43004300U, (halves & 0x00800080U) | 0x43004300U);
}

// Of a 32-bit word in the order of memory, and in that of kQ8 (WeightLayout::panel_word).
__device__ __forceinline__ void bytes_to_bf16(uint32_t word, uint32_t& first, uint32_t& second) {
  first = byte_pair_to_bf16(byte_permute(word, 0, 0x4140U));
  second = byte_pair_to_bf16(byte_permute(word, 0, 0x4342U));
}
__device__ __forceinline__ void paired_bytes_to_bf16(uint32_t word, uint32_t& first, uint32_t& second) {
  first = byte_pair_to_bf16(word);
  second = byte_pair_to_bf16(word >> 8);
}

// e4m3 likewise: its exponent and mantissa moved into bf16's, which is 2^120 too small.
__device__ __forceinline__ void fp8_to_bf16(uint32_t word, uint32_t& first, uint32_t& second) {
  const uint32_t low = byte_permute(word, 0, 0x1404U);
  const uint32_t high = byte_permute(word, 0, 0x3424U);
  first = mul_bf16x2((low & 0x80008000U) | ((low >> 4) & 0x07F007F0U), 0x7B807B80U);
  second = mul_bf16x2((high & 0x80008000U) | ((high >> 4) & 0x07F007F0U), 0x7B807B80U);
}

// Pair j (values 2 j and 2 j + 1) of the eight 4-bit values of a word, each plus 136: nibbles j and j + 4, stored plus
// 8, behind 0x4300, which is 128 in bf16 and whose last bit is 1.
constexpr uint32_t kMinusNibbleOffset = 0xC308C308U;  // -136 as a pair of bf16
__device__ __forceinline__ uint32_t nibbles_plus_offset(uint32_t word, int j) {
  return and_or<0x000F000FU>(word >> (4 * j), 0x43004300U);
}
__device__ __forceinline__ uint32_t nibbles_to_bf16(uint32_t word, int j) {
  return sub_bf16x2(nibbles_plus_offset(word, j), 0x43084308U);
}

// --- As pairs of f16, each plus an offset that the caller takes away ---
//
// f16 has three more bits of significand than bf16, in which a byte or a nibble becomes a number without arithmetic:
// 0x6400 is 1 024 and its last bit 1. kInt8 and kQ8: value + 1 152. kQ4: pairs 0 and 2 value + 1 032, pairs 1 and 3
// 16 value + 1 152, to be multiplied with a sixteenth of their inputs. kE4M3: no offset.
constexpr float kPairFactor = 0.0625F;        // of the inputs of pairs 1 and 3, kQ4
constexpr uint32_t kMinus1032 = 0xE408E408U;  // as a pair of f16
constexpr uint32_t kMinus1152 = 0xE480E480U;

template <WeightFormat kFormat>
__device__ __forceinline__ void half_octet(const Vec4& word, int octet, uint32_t (&pairs)[4]) {
  if constexpr (kFormat == WeightFormat::kQ4) {
    const uint32_t bits = octet == 0 ? word.x : octet == 1 ? word.y : octet == 2 ? word.z : word.w;
    constexpr uint32_t kThousands = 0x64006400U;
    pairs[0] = and_or<0x000F000FU>(bits, kThousands);
    pairs[1] = and_or<0x00F000F0U>(bits, kThousands);
    pairs[2] = and_or<0x000F000FU>(bits >> 8, kThousands);
    pairs[3] = and_or<0x00F000F0U>(bits >> 8, kThousands);
    return;
  }
  const uint32_t low = octet == 0 ? word.x : word.z;
  const uint32_t high = octet == 0 ? word.y : word.w;
  if constexpr (kFormat == WeightFormat::kE4M3) {
    pairs[0] = e4m3_pair_to_f16(low);
    pairs[1] = e4m3_pair_to_f16(low >> 16);
    pairs[2] = e4m3_pair_to_f16(high);
    pairs[3] = e4m3_pair_to_f16(high >> 16);
  } else {
    constexpr uint32_t kThousands = 0x64646464U;
    const uint32_t first = kFormat == WeightFormat::kQ8 ? 0x4240U : 0x4140U;  // bytes 0, 2 or 0, 1
    const uint32_t second = kFormat == WeightFormat::kQ8 ? 0x4341U : 0x4342U;
    pairs[0] = byte_permute(low ^ 0x80808080U, kThousands, first);
    pairs[1] = byte_permute(low ^ 0x80808080U, kThousands, second);
    pairs[2] = byte_permute(high ^ 0x80808080U, kThousands, first);
    pairs[3] = byte_permute(high ^ 0x80808080U, kThousands, second);
  }
}

// A pair of inputs as f16. Finite ones beyond its range, which activations do not reach, become the largest.
__device__ __forceinline__ float within_f16(float x) {
  constexpr float kMost = 65504.0F;
  const float size = bits_to_float(float_to_bits(x) & 0x7FFFFFFFU);
  return size > kMost && size < -kMinusInfinity ? (x > 0 ? kMost : -kMost) : x;
}
__device__ __forceinline__ uint32_t input_pair_to_f16(uint32_t pair, float factor) {
  return pack_f16(within_f16(low_bf16(pair)) * factor, within_f16(high_bf16(pair)) * factor);
}
// Eight inputs for half_octet().
template <WeightFormat kFormat>
__device__ __forceinline__ Vec4 inputs_to_f16(const Vec4& x) {
  constexpr float kOdd = kFormat == WeightFormat::kQ4 ? kPairFactor : 1.0F;
  return {input_pair_to_f16(x.x, 1.0F), input_pair_to_f16(x.y, kOdd), input_pair_to_f16(x.z, 1.0F),
          input_pair_to_f16(x.w, kOdd)};
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
    } else if constexpr (kFormat == WeightFormat::kQ8) {
      paired_bytes_to_bf16(low, pairs[0], pairs[1]);
      paired_bytes_to_bf16(high, pairs[2], pairs[3]);
    } else {
      bytes_to_bf16(low, pairs[0], pairs[1]);
      bytes_to_bf16(high, pairs[2], pairs[3]);
    }
  }
}

}  // namespace cove::cuda::dev
