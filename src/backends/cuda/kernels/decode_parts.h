#pragma once
// The arithmetic of a step of decode_attention.cu: the softmax, and what it does otherwise where the cache is e4m3: 16
// positions in shared memory as they lie in the cache, f16 products over their codes, powers of two applied to scores
// and weights. Included by kernels/*.cu.
//
// e4m3 as f16 is exact and one instruction for two (from sm_89 on). A matrix instruction takes pairs of 16 bits, so
// that columns come in another order than in a bf16 cache; both orders below are of 16 columns:
//   keys: a lane has columns 4 t .. 4 t + 3 of one position, which are two pairs of one operand: queries are stored in
//   that order (store_query)
//   values: ldmatrix transposes pairs of columns; a byte permutation makes pairs of positions of them, once for the
//   even and once for the odd columns, so that a lane's sums are columns 4 t .. 4 t + 3

#include "backends/cuda/kernels/attention_parts.h"
#include "backends/cuda/kernels/cache_values.h"
#include "backends/cuda/kernels/language.h"

namespace cove::cuda::dev {

// kKeys positions of one key head, columns padded to kDim.
template <int kDim, int kKeys>
struct CodeStage {
  static constexpr int kPitch = kDim + 16;  // eight rows fall on different banks
  unsigned char codes[2][kKeys][kPitch];    // keys, values
  alignas(16) unsigned char powers[2][kKeys];
};
static_assert(sizeof(CodeStage<128, kPowerRows>::powers) == 2 * kPowerRows);

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
        uint32_t keys[2];
        e4m3_word_to_f16(codes[j], keys[0], keys[1]);
        mma_f16(scores[n], q[4 * k + j], keys);
      }
    }
  }
}

// Scaled scores of a step, as powers of two, to weights; minus infinity where there is no position, and of the group's
// rows one that is not, at least. The largest score that weights refer to follows the true one only where that has
// grown by kSlack, which seldom happens after the first steps: weights are at most 2^kSlack, and sums need not be
// brought down in every step. total_factor(n, i): what the total counts a weight with.
constexpr float kSlack = 8.0F;
template <int kDim, int kKeys, class Factor>
__device__ __forceinline__ void soften(int32_t rows, float (&scores)[kKeys / 8][4], const Factor& total_factor,
                                       Running<kDim>& r) {
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    if (8 * half >= rows) break;  // of a row behind the group's nothing is used
    float most = kMinusInfinity;
#pragma unroll
    for (int n = 0; n < kKeys / 8; ++n) most = maximum(most, maximum(scores[n][2 * half], scores[n][2 * half + 1]));
    most = maximum(most, shuffle_xor(most, 1));
    most = maximum(most, shuffle_xor(most, 2));
    if (any_lane(lane() / 4 + 8 * half < rows && most > r.largest[half] + kSlack)) {
      most = maximum(most, r.largest[half]);
      const float shrink = weight_of(r.largest[half], most);
      r.largest[half] = most;
      r.total[half] *= shrink;
#pragma unroll
      for (int n = 0; n < kDim / 8; ++n) {
        r.values[n][2 * half] *= shrink;
        r.values[n][2 * half + 1] *= shrink;
      }
    }
    float total = 0;
#pragma unroll
    for (int n = 0; n < kKeys / 8; ++n) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        float& weight = scores[n][2 * half + i];
        weight = exp2_fast(weight - r.largest[half]);
        total = fused(weight, total_factor(n, i), total);
      }
    }
    r.total[half] += quad_sum(total);
  }
}

// Scores to weights; positions from `visible` on get 0.
template <int kDim, int kKeys>
__device__ __forceinline__ void weigh(const Stage<kDim, kKeys>&, int32_t rows, int32_t visible, int32_t begin,
                                      float scale, float (&scores)[kKeys / 8][4], Running<kDim>& r) {
#pragma unroll
  for (int n = 0; n < kKeys / 8; ++n) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int32_t position = begin + 8 * n + lane() % 4 * 2 + i % 2;
      scores[n][i] = position < visible ? scores[n][i] * scale : kMinusInfinity;
    }
  }
  soften<kDim, kKeys>(rows, scores, [](int, int) { return 1.0F; }, r);
}

// Scores to weights of the values' codes: weight * 2^e, e the value's power. The largest that is kept is the largest
// score plus e (both as powers of two), so that f16 holds the weights; the total is of the weights without 2^e.
// Positions from `visible` on, whose powers may be anything, get 0.
template <int kDim, int kKeys>
__device__ __forceinline__ void weigh(const CodeStage<kDim, kKeys>& stage, int32_t rows, int32_t visible, int32_t begin,
                                      float scale, float (&scores)[kKeys / 8][4], Running<kDim>& r) {
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
      scores[n][i] = there ? fused(scores[n][i], factor, exponent) : kMinusInfinity;
      scores[n][2 + i] = there ? fused(scores[n][2 + i], factor, exponent) : kMinusInfinity;
    }
  }
  soften<kDim, kKeys>(rows, scores, [&](int n, int i) { return inverse[n][i]; }, r);
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
        uint32_t even[2];
        uint32_t odd[2];
        e4m3_word_to_f16(byte_permute(v[2 * j], 0, kPairs), even[0], odd[0]);
        e4m3_word_to_f16(byte_permute(v[2 * j + 1], 0, kPairs), even[1], odd[1]);
        mma_f16(r.values[4 * n + 2 * j], p, even);
        mma_f16(r.values[4 * n + 2 * j + 1], p, odd);
      }
    }
  }
}

}  // namespace cove::cuda::dev
