#pragma once
// Weights of 4 and 8 bits (kQ4, kQ8 of plan/weight_layout.h) from a panel in shared memory to the A operand of wgmma:
// bf16 in registers, multiplied by their group's scale. Included by gemm_panels.cuh.
//
// Order of K. A lane holds K = 2 t, 2 t + 1, 2 t + 8, 2 t + 9 of each 16: pair t of two octets, where a panel's word
// has all four pairs of one octet. So a lane reads the words of all four lanes of its quad (which read the same: shared
// memory serves a quad once) and takes its pair out of each. x stays as it is in memory.
//
// Three instructions a pair. A number n of up to 8 bits in the last bits of a bf16 is n * 2^-133, exactly: below
// 2^-125 bf16 are evenly spaced. One fused multiply-add with S = scale * 2^109 and C = -offset * scale * 2^-24 makes
// (n - offset) * scale * 2^-24 of it, with one rounding; C is exact, since offsets are powers of two (8 for nibbles,
// 128 for bytes with their sign bit turned). The factor 2^-24, which keeps every f16 scale within bf16's range, is
// taken from the sums. Accuracy: the scale is rounded to bf16 and the product again, 2^-9 each; launch_unpack rounds
// only the product. Both are far below what 4 bits lose, and the same size as the rounding of x.

#include <cstdint>

#include "backends/cuda/hopper/device.cuh"
#include "backends/cuda/hopper/plan/layout.h"

namespace cove::cuda::hopper {

constexpr uint32_t kPanelRows = 16;
constexpr uint32_t kPanelBytes = 1024;  // of a chunk: what 32 lanes hold of 16 rows
constexpr float kPanelFactor = 16777216.0F;

template <int kBitsOf, int kGroupOf>
struct Panels {
  using Sum = float;
  static constexpr bool kScaled = false;  // of outputs
  static constexpr int kBits = kBitsOf;
  static constexpr int kGroup = kGroupOf;
  static constexpr int kBlockK = kBits == 4 ? 128 : 64;              // inputs of a chunk
  static constexpr int kScales = kBlockK / kGroup;                   // of a row's chunk
  static constexpr uint32_t kScaleBytes = kPanelRows * kScales * 2;  // of a panel's chunk
  static constexpr int kWordsOfBlock = kBits == 4 ? 1 : 2;  // 32-bit words of a lane's 16 bytes that have 32 inputs
  static constexpr uint32_t kMinusOffset = kBits == 4 ? 0x80088008U : 0x80808080U;  // -8 or -128, times 2^-133: C / S
};
using Panels4x128 = Panels<4, 128>;
using Panels4x32 = Panels<4, 32>;
using Panels8x32 = Panels<8, 32>;

// Where a lane finds its weights in a panel, and how it picks them.
struct PanelLane {
  uint32_t words;   // byte of row g's octet 0; see word_at
  uint32_t scales;  // row g's among those of a panel
  uint32_t pick;    // 4 bits: the shift to pair t; 8 bits: bytes of pair t

  // A panel's chunk arrives with 128-byte swizzle, so that the words of eight rows fall on different banks.
  __device__ __forceinline__ uint32_t word_at(uint32_t half, uint32_t octet) const {
    return words ^ (half * (512 + 64)) ^ (octet * 16);
  }
};
template <class Format>
__device__ __forceinline__ PanelLane panel_lane() {
  const uint32_t g = threadIdx.x % 32 / 4;
  const uint32_t t = threadIdx.x % 4;
  const uint32_t bytes = (t / 2 * 4 + t % 2) * 0x0101U + 0x0200U;  // t = 3: bytes 1 and 3 of the second word
  return {swizzled(g / 2, g % 2 * 64), g * (Format::kScales * 4), Format::kBits == 4 ? 4 * t : bytes};
}

template <int kWords>
__device__ __forceinline__ void load_words(uint32_t address, uint32_t (&words)[kWords]) {
  static_assert(kWords == 2 || kWords == 4);
  if constexpr (kWords == 2) {
    const uint2 v = load_shared_8(address);
    words[0] = v.x;
    words[1] = v.y;
  } else {
    const uint4 v = load_shared_16(address);
    words[0] = v.x;
    words[1] = v.y;
    words[2] = v.z;
    words[3] = v.w;
  }
}

// Pair t of an octet: in the last bits of two halves.
template <class Format, int kWords>
__device__ __forceinline__ uint32_t pair_bits(const PanelLane& lane, const uint32_t (&words)[kWords], int block) {
  if constexpr (Format::kBits == 4) {
    return (words[block] >> lane.pick) & 0x000F000FU;
  } else {
    return and_xor(__byte_perm(words[2 * block], words[2 * block + 1], lane.pick), 0x00FF00FFU, 0x00800080U);
  }
}

// S and C of a row, twice each.
struct PairFactors {
  uint32_t scale;
  uint32_t minus;
};
template <class Format>
__device__ __forceinline__ PairFactors pair_factors(uint16_t f16_scale) {
  const float scale = from_f16(f16_scale) * 6.49037107e32F;  // 2^109
  const uint32_t pair = pack_bf16(scale, scale);
  return {pair, mul_bf16x2(pair, Format::kMinusOffset)};
}

// What a lane needs of part `part` of a panel's chunk for kSteps products, as it is in shared memory: words of rows g
// and g + 8 by octet, and the pairs of their scales.
template <class Format, int kSteps>
struct PanelPart {
  static constexpr int kBlocks = kSteps / 2;  // of 32 inputs
  static constexpr int kWords = kBlocks * Format::kWordsOfBlock;
  static constexpr int kScales = kBlocks * 32 < Format::kGroup ? 1 : kBlocks * 32 / Format::kGroup;
  uint32_t words[2][4][kWords];
  uint32_t scales[kScales];

  __device__ __forceinline__ void load(const PanelLane& lane, uint32_t panel, uint32_t panel_scales, int part) {
    COVE_UNROLL
    for (uint32_t half = 0; half < 2; ++half) {
      COVE_UNROLL
      for (uint32_t octet = 0; octet < 4; ++octet) {
        load_words(panel + lane.word_at(half, octet) + static_cast<uint32_t>(part) * kWords * 4, words[half][octet]);
      }
    }
    const uint32_t first = static_cast<uint32_t>(part * kBlocks * 32 / Format::kGroup);
    COVE_UNROLL
    for (uint32_t i = 0; i < kScales; ++i) scales[i] = load_shared(panel_scales + lane.scales + (first + i) * 4);
  }

  // As operands of kSteps products, K in order.
  __device__ __forceinline__ void expand(const PanelLane& lane, uint32_t (&a)[kSteps][4]) const {
    PairFactors factors[2];
    COVE_UNROLL
    for (int block = 0; block < kBlocks; ++block) {
      if (block * 32 % Format::kGroup == 0) {
        const uint32_t both = scales[block * 32 / Format::kGroup];
        factors[0] = pair_factors<Format>(static_cast<uint16_t>(both & 0xFFFFU));
        factors[1] = pair_factors<Format>(static_cast<uint16_t>(both >> 16U));
      }
      COVE_UNROLL
      for (int octet = 0; octet < 4; ++octet) {
        COVE_UNROLL
        for (int half = 0; half < 2; ++half) {
          a[2 * block + octet / 2][octet % 2 * 2 + half] =
              fma_bf16x2(pair_bits<Format>(lane, words[half][octet], block), factors[half].scale, factors[half].minus);
        }
      }
    }
  }
};

}  // namespace cove::cuda::hopper
