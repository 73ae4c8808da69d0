#pragma once
// What the attention kernels have in common: where rows and positions lie, a running softmax of 16 rows in the
// registers of a warp, and how results of splits are folded. Included by kernels/*.cu.

#include "backends/cuda/kernels/attention.h"
#include "backends/cuda/kernels/cache_values.h"
#include "backends/cuda/kernels/language.h"

namespace cove::cuda::dev {

constexpr float kLog2e = 1.44269504088896341F;

// kKeys positions of one key head, columns padded to kDim.
template <int kDim, int kKeys>
struct Stage {
  static constexpr int kPitch = kDim + 8;  // values; eight rows fall on different banks
  uint16_t keys[kKeys][kPitch];
  uint16_t values[kKeys][kPitch];
};

// The block's share: which rows, which positions. 32 bits throughout: 64-bit divisions are long in instructions, and
// what a block runs once costs as many reads of them.
struct Scope {
  AttentionTile tile;
  SequenceSlice slice;
  int32_t kv_head;
  int32_t group;
  int32_t rows;       // of the tile
  int32_t positions;  // that its last token sees
};

__device__ __forceinline__ Scope scope_of(const AttentionLaunch& a) {
  Scope s;
  s.tile = a.tiles[blockIdx.z];
  s.slice = a.sequences[s.tile.sequence];
  s.kv_head = static_cast<int32_t>(blockIdx.y);
  s.group = static_cast<int32_t>(static_cast<uint32_t>(a.heads) / static_cast<uint32_t>(a.cache.kv_heads));
  s.rows = s.tile.tokens * s.group;
  s.positions = s.slice.kv_length - s.slice.token_count + (s.tile.first_token + s.tile.tokens - s.slice.token_begin);
  return s;
}

// Position of row `row`'s token in its sequence.
__device__ __forceinline__ int32_t position_of(const Scope& s, int32_t row) {
  return s.slice.kv_length - s.slice.token_count + (s.tile.first_token + row / s.group - s.slice.token_begin);
}

// Eight values of the cache as bf16, zeros where there is none. A column of row `row`
// (power_at).
__device__ __forceinline__ void bring_octet(const LayerCache& cache, CacheSide side, int64_t row, int column,
                                            bool there, uint16_t* to) {
  const void* values = side == kKeySide ? cache.keys : cache.values;
  const int64_t at = there ? row * cache.head_dim + column : 0;
  if (!cache.is_f32 && cache.powers == nullptr) {
    copy_async(to, static_cast<const uint16_t*>(values) + at, there);
    return;
  }
  Vec4 v = {0, 0, 0, 0};
  if (there && cache.powers != nullptr) {
    v = cached_octet(*reinterpret_cast<const Vec2*>(static_cast<const unsigned char*>(values) + at),
                     static_cast<const unsigned char*>(cache.powers)[power_at(row, side)]);
  } else if (there) {
    const float* from = static_cast<const float*>(values) + at;
    v = {pack_bf16(from[0], from[1]), pack_bf16(from[2], from[3]), pack_bf16(from[4], from[5]),
         pack_bf16(from[6], from[7])};
  }
  *reinterpret_cast<Vec4*>(to) = v;
}

// A running softmax of 16 rows; a lane has rows g and g + 8 (index 0 and 1), and of the values columns 8 n + 2 t, 2 t
// + 1.
template <int kDim>
struct Running {
  float largest[2];
  float total[2];
  float values[kDim / 8][4];
};

template <int kDim>
__device__ __forceinline__ void reset(Running<kDim>& r) {
  r.largest[0] = r.largest[1] = kMinusInfinity;
  r.total[0] = r.total[1] = 0;
#pragma unroll
  for (int n = 0; n < kDim / 8; ++n) {
#pragma unroll
    for (int i = 0; i < 4; ++i) r.values[n][i] = 0;
  }
}

// 2^(x - most), 0 where nothing has been seen.
__device__ __forceinline__ float weight_of(float x, float most) {
  return most == kMinusInfinity ? 0.0F : exp2_fast(x - most);
}

// The queries of a warp's 16 rows as operands, zeros for rows and columns that do not exist.
template <int kDim>
__device__ __forceinline__ void load_queries(const AttentionLaunch& a, const Scope& s, int32_t first_row,
                                             uint32_t (&q)[kDim / 16][4]) {
  const int64_t pitch = (a.heads + 2 * a.cache.kv_heads) * a.cache.head_dim;
#pragma unroll
  for (int k = 0; k < kDim / 16; ++k) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int32_t row = first_row + lane() / 4 + i % 2 * 8;
      const int column = 16 * k + lane() % 4 * 2 + i / 2 * 8;
      q[k][i] = 0;
      if (row >= s.rows || column >= a.cache.head_dim) continue;
      const int64_t head = s.kv_head * s.group + row % s.group;
      const auto* from = static_cast<const uint16_t*>(a.qkv) + (s.tile.first_token + row / s.group) * pitch +
                         head * a.cache.head_dim + column;
      q[k][i] = *reinterpret_cast<const uint32_t*>(from);
    }
  }
}

// scores[n]: positions 8 n + 2 t, 2 t + 1 of the stage, for rows g and g + 8.
template <int kDim, int kKeys>
__device__ __forceinline__ void score(const Stage<kDim, kKeys>& stage, const uint32_t (&q)[kDim / 16][4],
                                      float (&scores)[kKeys / 8][4]) {
#pragma unroll
  for (int n = 0; n < kKeys / 8; ++n) {
#pragma unroll
    for (int i = 0; i < 4; ++i) scores[n][i] = 0;
#pragma unroll
    for (int k = 0; k < kDim / 16; k += 2) {
      uint32_t keys[4];  // columns 16 k .., + 8, + 16, + 24 of eight positions
      load_matrices(keys, &stage.keys[8 * n + lane() % 8][16 * k + lane() / 8 * 8]);
      const uint32_t first[2] = {keys[0], keys[1]};
      const uint32_t second[2] = {keys[2], keys[3]};
      mma_bf16(scores[n], q[k], first);
      mma_bf16(scores[n], q[k + 1], second);
    }
  }
}

// Scores to weights, after the running values are brought down to the new largest score.
template <int kDim, int kKeys>
__device__ __forceinline__ void weigh(const int32_t (&visible)[2], int32_t begin, float scale,
                                      float (&scores)[kKeys / 8][4], Running<kDim>& r) {
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    float most = kMinusInfinity;
#pragma unroll
    for (int n = 0; n < kKeys / 8; ++n) {
#pragma unroll
      for (int i = 2 * half; i < 2 * half + 2; ++i) {
        const int32_t position = begin + 8 * n + lane() % 4 * 2 + i % 2;
        scores[n][i] = position < visible[half] ? scores[n][i] * scale : kMinusInfinity;
        most = larger(most, scores[n][i]);
      }
    }
    most = larger(quad_max(most), r.largest[half]);
    const float shrink = weight_of(r.largest[half], most);
    float total = 0;
#pragma unroll
    for (int n = 0; n < kKeys / 8; ++n) {
#pragma unroll
      for (int i = 2 * half; i < 2 * half + 2; ++i) {
        scores[n][i] = weight_of(scores[n][i], most);
        total += scores[n][i];
      }
    }
    r.largest[half] = most;
    r.total[half] = r.total[half] * shrink + quad_sum(total);
#pragma unroll
    for (int n = 0; n < kDim / 8; ++n) {
      r.values[n][2 * half] *= shrink;
      r.values[n][2 * half + 1] *= shrink;
    }
  }
}

template <int kDim, int kKeys>
__device__ __forceinline__ void add_values(const Stage<kDim, kKeys>& stage, const float (&weights)[kKeys / 8][4],
                                           Running<kDim>& r) {
#pragma unroll
  for (int k = 0; k < kKeys / 16; ++k) {
    // Sums of one product are operands of the next, register for register.
    const uint32_t p[4] = {pack_bf16(weights[2 * k][0], weights[2 * k][1]),
                           pack_bf16(weights[2 * k][2], weights[2 * k][3]),
                           pack_bf16(weights[2 * k + 1][0], weights[2 * k + 1][1]),
                           pack_bf16(weights[2 * k + 1][2], weights[2 * k + 1][3])};
#pragma unroll
    for (int n = 0; n < kDim / 8; n += 2) {
      uint32_t v[4];  // positions 16 k .., + 8 of columns 8 n .., then of the next eight columns
      load_matrices_transposed(v, &stage.values[16 * k + lane() % 16][8 * n + lane() / 16 * 8]);
      const uint32_t first[2] = {v[0], v[1]};
      const uint32_t second[2] = {v[2], v[3]};
      mma_bf16(r.values[n], p, first);
      mma_bf16(r.values[n + 1], p, second);
    }
  }
}

// How a split's result joins those before it. One row half of a lane, or one value of the final fold: the same
// arithmetic.
struct Fold {
  float largest;
  float keep;  // factor of what was there
  float take;  // factor of what joins
};
__device__ __forceinline__ Fold fold_of(float before, float joining) {
  const float most = larger(before, joining);
  return {most, weight_of(before, most), weight_of(joining, most)};
}
__device__ __forceinline__ float fold(const Fold& f, float before, float joining) {
  return before * f.keep + joining * f.take;
}

__device__ __forceinline__ void store_pair(const AttentionLaunch& a, const Scope& s, int32_t row, int32_t column,
                                           float first, float second) {
  const int64_t head = s.kv_head * s.group + row % s.group;
  auto* out = static_cast<uint16_t*>(a.out) +
              ((s.tile.first_token + row / s.group) * a.heads + head) * a.cache.head_dim + column;
  *reinterpret_cast<uint32_t*>(out) = pack_bf16(first, second);
}

// A split's result in the workspace: [rows][head_dim] values, then [rows] {largest, total}.
__device__ __forceinline__ float* partial_of(const AttentionLaunch& a, int32_t split) {
  const int64_t rows_most = a.warps * 16;
  const int64_t unit = (static_cast<int64_t>(blockIdx.z) * a.cache.kv_heads + blockIdx.y) * a.splits + split;
  return a.partials + unit * rows_most * (a.cache.head_dim + 2);
}

// Calls use(row, column) for every pair of columns (column, column + 1) of the tile's rows, spread over the block.
template <class Use>
__device__ __forceinline__ void for_pairs(const AttentionLaunch& a, const Scope& s, const Use& use) {
  constexpr int kPairs = kAttentionHeadDimMax / 2;
  for (auto i = static_cast<int32_t>(threadIdx.x); i < s.rows * kPairs; i += static_cast<int32_t>(blockDim.x)) {
    const int32_t column = i % kPairs * 2;
    if (column < a.cache.head_dim) use(i / kPairs, column);
  }
}

// The block that is the last of its unit folds the splits' results in order.
__device__ __forceinline__ void fold_partials(const AttentionLaunch& a, const Scope& s, int32_t splits) {
  for_pairs(a, s, [&](int32_t row, int32_t column) {
    float largest = kMinusInfinity;
    float total = 0;
    float first = 0;
    float second = 0;
    const int64_t step = a.warps * 16 * (a.cache.head_dim + 2);
    const float* values = partial_of(a, 0) + row * a.cache.head_dim + column;
    const float* facts = partial_of(a, 0) + a.warps * 16 * a.cache.head_dim + 2 * row;
#pragma unroll 4
    for (int32_t split = 0; split < splits; ++split, values += step, facts += step) {
      const Fold f = fold_of(largest, facts[0]);
      largest = f.largest;
      total = fold(f, total, facts[1]);
      first = fold(f, first, values[0]);
      second = fold(f, second, values[1]);
    }
    const float inverse = 1.0F / total;
    store_pair(a, s, row, column, first * inverse, second * inverse);
  });
}

// Whether this block is the last of `blocks` to come here; leaves the counter at zero.
__device__ __forceinline__ bool is_last(unsigned* counter, int32_t blocks, unsigned* shared) {
  thread_fence();  // the partial result is visible before the count is
  block_sync();
  if (threadIdx.x == 0) {
    const unsigned before = atomic_add(counter, 1U);
    *shared = before + 1 == static_cast<unsigned>(blocks) ? 1U : 0U;
    if (*shared != 0) *counter = 0;
  }
  block_sync();
  thread_fence();
  return *shared != 0;
}

}  // namespace cove::cuda::dev
