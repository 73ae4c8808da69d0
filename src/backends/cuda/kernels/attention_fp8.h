#pragma once
// What decode_attention.cu does otherwise where the cache is e4m3: 16 positions in shared memory as they lie in the
// cache, f16 products over their codes, powers of two applied to scores and weights. Included by kernels/*.cu.
//
// e4m3 as f16 is exact and one instruction for two (from sm_89 on). A matrix instruction takes pairs of 16 bits, so that
// columns come in another order than in a bf16 cache; both orders below are of 16 columns:
//   keys: a lane has columns 4 t .. 4 t + 3 of one position, which are two pairs of one operand: queries are stored in
//   that order (store_query)
//   values: ldmatrix transposes pairs of columns; a byte permutation makes pairs of positions of them, once for the even
//   and once for the odd columns, so that a lane's sums are columns 4 t .. 4 t + 3

#include "backends/cuda/kernels/attention_parts.h"
#include "backends/cuda/kernels/cache_values.h"
#include "backends/cuda/kernels/language.h"

namespace cove::cuda::dev {

enum CacheSide : int { kKeySide = 0, kValueSide = 1 };

// kKeys positions of one key head, columns padded to kDim.
template <int kDim, int kKeys>
struct CodeStage {
  static constexpr int kPitch = kDim + 16;  // eight rows fall on different banks
  unsigned char codes[2][kKeys][kPitch];    // keys, values
  alignas(16) unsigned char powers[2][kKeys];
};

// Eight columns of a query from `column` on, to row `row` in f16 and in the keys' order.
__device__ __forceinline__ void store_query(const Vec4& octet, uint16_t* row, int32_t column) {
  auto* words = reinterpret_cast<uint32_t*>(row + column / 16 * 16) + column / 8 % 2 * 2;
  const Vec4 v = {input_pair_to_f16(octet.x, 1.0F), input_pair_to_f16(octet.y, 1.0F), input_pair_to_f16(octet.z, 1.0F),
                  input_pair_to_f16(octet.w, 1.0F)};
  *reinterpret_cast<Vec2*>(words) = {v.x, v.z};
  *reinterpret_cast<Vec2*>(words + 4) = {v.y, v.w};
}

// scores[n]: positions 8 n + 2 t, 2 t + 1 of the stage, for rows g and g + 8; without the keys' powers.
template <int kDim, int kKeys>
__device__ __forceinline__ void score(const CodeStage<kDim, kKeys>& stage, const uint32_t (&q)[kDim / 16][4],
                                      float (&scores)[kKeys / 8][4]) {
#pragma unroll
  for (int n = 0; n < kKeys / 8; ++n) {
#pragma unroll
    for (int i = 0; i < 4; ++i) scores[n][i] = 0;
#pragma unroll
    for (int k = 0; k < kDim / 64; ++k) {
      uint32_t codes[4];  // columns 64 k .., + 16, + 32, + 48 of eight positions
      load_matrices(codes, &stage.codes[kKeySide][8 * n + lane() % 8][64 * k + lane() / 8 * 16]);
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const uint32_t keys[2] = {e4m3_pair_to_f16(codes[j]), e4m3_pair_to_f16(codes[j] >> 16)};
        mma_f16(scores[n], q[4 * k + j], keys);
      }
    }
  }
}

// Scores to weights of the values' codes: weight * 2^e, e the value's power. What is kept as the largest is the largest
// score plus e (both as powers of two), so that weights are at most 1 and f16 holds them; the total is of the weights
// without 2^e. Positions from `visible` on, whose powers may be anything, get 0.
template <int kDim, int kKeys>
__device__ __forceinline__ void weigh(const CodeStage<kDim, kKeys>& stage, int32_t visible, int32_t begin, float scale,
                                      float (&scores)[kKeys / 8][4], Running<kDim>& r) {
  float most[2] = {r.largest[0], r.largest[1]};
  float inverse[kKeys / 8][2];
#pragma unroll
  for (int n = 0; n < kKeys / 8; ++n) {
    const int first = 8 * n + lane() % 4 * 2;
    const uint32_t keys = *reinterpret_cast<const uint16_t*>(&stage.powers[kKeySide][first]);
    const uint32_t values = *reinterpret_cast<const uint16_t*>(&stage.powers[kValueSide][first]);
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const bool there = begin + first + i < visible;
      const uint32_t value_power = values >> (8 * i) & 0xFFU;
      const float factor = scale * power_of(keys >> (8 * i) & 0xFFU);
      const float exponent = static_cast<float>(static_cast<int32_t>(value_power) - 127);
      inverse[n][i] = there ? inverse_power(value_power) : 0.0F;
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        float& score = scores[n][2 * half + i];
        score = there ? fused(score, factor, exponent) : kMinusInfinity;
        most[half] = larger(most[half], score);
      }
    }
  }
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    most[half] = quad_max(most[half]);
    const float shrink = weight_of(r.largest[half], most[half]);
    float total = 0;
#pragma unroll
    for (int n = 0; n < kKeys / 8; ++n) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        float& weight = scores[n][2 * half + i];
        weight = weight_of(weight, most[half]);
        total = fused(weight, inverse[n][i], total);
      }
    }
    r.largest[half] = most[half];
    r.total[half] = r.total[half] * shrink + quad_sum(total);
#pragma unroll
    for (int n = 0; n < kDim / 8; ++n) {
      r.values[n][2 * half] *= shrink;
      r.values[n][2 * half + 1] *= shrink;
    }
  }
}

// r.values[2 m]: even columns of 16 m .., [2 m + 1]: odd ones.
template <int kDim, int kKeys>
__device__ __forceinline__ void add_values(const CodeStage<kDim, kKeys>& stage, const float (&weights)[kKeys / 8][4],
                                           Running<kDim>& r) {
  constexpr uint32_t kPairs = 0x3120U;  // bytes of two positions' column pairs -> pairs of positions
#pragma unroll
  for (int k = 0; k < kKeys / 16; ++k) {
    const uint32_t p[4] = {
        pack_f16(weights[2 * k][0], weights[2 * k][1]), pack_f16(weights[2 * k][2], weights[2 * k][3]),
        pack_f16(weights[2 * k + 1][0], weights[2 * k + 1][1]), pack_f16(weights[2 * k + 1][2], weights[2 * k + 1][3])};
#pragma unroll
    for (int n = 0; n < kDim / 32; ++n) {
      uint32_t v[4];  // positions 16 k .., + 8 of columns 32 n .., then of the next 16 columns
      load_matrices_transposed(v, &stage.codes[kValueSide][16 * k + lane() % 16][32 * n + lane() / 16 * 16]);
#pragma unroll
      for (int j = 0; j < 2; ++j) {
        const uint32_t low = byte_permute(v[2 * j], 0, kPairs);
        const uint32_t high = byte_permute(v[2 * j + 1], 0, kPairs);
        const uint32_t even[2] = {e4m3_pair_to_f16(low), e4m3_pair_to_f16(high)};
        const uint32_t odd[2] = {e4m3_pair_to_f16(low >> 16), e4m3_pair_to_f16(high >> 16)};
        mma_f16(r.values[4 * n + 2 * j], p, even);
        mma_f16(r.values[4 * n + 2 * j + 1], p, odd);
      }
    }
  }
}

}  // namespace cove::cuda::dev
