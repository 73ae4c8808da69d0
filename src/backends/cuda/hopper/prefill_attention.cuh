#pragma once
// out[t][h] = sum_i softmax_i(scale * q[t][h] . k[i][g]) v[i][g] over the keys i that token t sees, g = h / group:
// flash attention of prompt chunks over a paged cache.
//
// Arrays: q bf16, row t at q + t * q_pitch, [heads][head_dim]; keys, values bf16
// [pages][kv_heads][page_tokens][head_dim] through tensor maps (boxes of one page of one head, 64 columns, 128-byte
// swizzle); out bf16 [tokens][heads][head_dim]; 16-byte aligned rows. What lies behind the last visible key may be NaN:
// scores are masked, value rows zeroed. Who: a block per AttentionTile and key-value head. The heads of a group are
// packed into its 128 rows, so that keys and values are fetched once for all. Warpgroup 0 fetches pages, a lane each; 1
// and 2 own 64 rows each. Bytes and operations of 128 keys, head_dim 128: 64 KB out of L2, 8.4 M operations (2 048
// cycles): the tensor cores bind, then the exponentials (16 384 at 16 a cycle and quarter: 256 cycles beside). Sums:
// scores and sums f32, probabilities bf16 as the tensor cores' operand, tiles of keys from last to first. Source: own,
// after FlashAttention-2/3 (Dao; Shah et al.): online softmax, the next scores computed while the last values are
// added.

#include <cmath>

#include "backends/cuda/hopper/device.cuh"
#include "backends/cuda/hopper/formats.cuh"
#include "backends/cuda/hopper/hopper.h"
#include "backends/cuda/hopper/plan/attention_shape.h"
#include "compute/step.h"

namespace cove::cuda::hopper {

constexpr int kAttentionThreads = 384;
constexpr int kAttentionWarps = 8;                       // that read keys and values
constexpr uint32_t kKeyStages = 2;                       // of keys, and as many of values
constexpr uint32_t kColumnBytes = kKeyRows * kRowBytes;  // 128 rows of 64 columns

template <int kHeadDim>
struct AttentionShared {
  static constexpr uint32_t kColumns = kHeadDim / 64;
  static constexpr uint32_t kTileBytes = kColumns * kColumnBytes;  // of 128 rows of q, k or v
  static constexpr uint32_t kBarriers = 4 * kKeyStages;
  static constexpr uint32_t kSharedBytes = kAtomBytes + (1 + 2 * kKeyStages) * kTileBytes + kBarriers * 8;

  uint32_t base;
  __device__ __forceinline__ uint32_t q() const { return base; }
  __device__ __forceinline__ uint32_t k(uint32_t stage) const { return base + (1 + stage) * kTileBytes; }
  __device__ __forceinline__ uint32_t v(uint32_t stage) const { return k(kKeyStages + stage); }
  __device__ __forceinline__ uint32_t barrier(uint32_t index) const { return k(2 * kKeyStages) + index * 8; }
  __device__ __forceinline__ uint32_t k_full(uint32_t stage) const { return barrier(stage); }
  __device__ __forceinline__ uint32_t v_full(uint32_t stage) const { return barrier(kKeyStages + stage); }
  __device__ __forceinline__ uint32_t k_empty(uint32_t stage) const { return barrier(2 * kKeyStages + stage); }
  __device__ __forceinline__ uint32_t v_empty(uint32_t stage) const { return barrier(3 * kKeyStages + stage); }
};

struct AttentionParams {
  const uint8_t* q;
  int64_t q_pitch;
  const SequenceSlice* sequences;
  const int32_t* page_table;
  const AttentionTile* tiles;
  uint8_t* out;
  float scale_log2;  // scale * log2(e): exponentials are powers of two
  int32_t pages;
  int32_t page_tokens;
  int32_t heads;
  int32_t kv_heads;
};

// Copies one tile of keys or values: lane l fetches page l % pages of it, 64 columns l / pages. A page behind the last
// visible key is asked for outside the array: it arrives as zeros, and the bytes to wait for stay the same.
template <int kHeadDim>
__device__ __forceinline__ void fetch_keys(const TensorMap& map, const AttentionParams& p, const int32_t* pages,
                                           int32_t page_count, int32_t key_tile, int32_t kv_head, uint32_t to,
                                           uint32_t full_barrier) {
  using Shared = AttentionShared<kHeadDim>;
  const int32_t lane = static_cast<int32_t>(threadIdx.x % 32);
  const int32_t tile_pages = kKeyRows / p.page_tokens;
  if (lane == 0) barrier_expect(full_barrier, Shared::kTileBytes);
  __syncwarp();  // the bytes are expected before any arrives
  if (lane >= tile_pages * static_cast<int32_t>(Shared::kColumns)) return;
  const int32_t in_tile = lane % tile_pages;
  const int32_t column = lane / tile_pages;
  const int32_t index = key_tile * tile_pages + in_tile;
  const int32_t page = index < page_count ? pages[index] : p.pages;
  const int32_t row = (page * p.kv_heads + kv_head) * p.page_tokens;
  load_2d(to + column * kColumnBytes + in_tile * p.page_tokens * kRowBytes, &map, column * 64, row, full_barrier,
          kKeepNormal);
}

template <int kHeadDim>
__device__ __forceinline__ void produce_keys(const TensorMap& k_map, const TensorMap& v_map, const AttentionParams& p,
                                             const QueryTile& tile, const int32_t* pages, int32_t kv_head,
                                             AttentionShared<kHeadDim> shared) {
  const int32_t page_count = (tile.keys() + p.page_tokens - 1) / p.page_tokens;
  const int32_t last = tile.key_tiles() - 1;
  RingPlace k_place{0, 1};
  RingPlace v_place{0, 1};
  for (int32_t i = last; i >= -1; --i) {  // keys run one tile ahead of values
    if (i >= 0) {
      barrier_wait(shared.k_empty(k_place.stage), k_place.parity);
      fetch_keys<kHeadDim>(k_map, p, pages, page_count, i, kv_head, shared.k(k_place.stage),
                           shared.k_full(k_place.stage));
      k_place.advance<kKeyStages>();
    }
    if (i < last) {
      barrier_wait(shared.v_empty(v_place.stage), v_place.parity);
      fetch_keys<kHeadDim>(v_map, p, pages, page_count, i + 1, kv_head, shared.v(v_place.stage),
                           shared.v_full(v_place.stage));
      v_place.advance<kKeyStages>();
    }
  }
}

// A warpgroup's 64 rows of q into shared memory; rows behind the last token are zeros.
template <int kHeadDim>
__device__ __forceinline__ void load_queries(const AttentionParams& p, const AttentionTile& work, int32_t group,
                                             int32_t kv_head, uint32_t first_row, AttentionShared<kHeadDim> shared) {
  constexpr int kChunks = kHeadDim / 8;  // of 16 bytes
  const int32_t rows = work.tokens * group;
  for (int32_t i = static_cast<int32_t>(threadIdx.x % 128); i < 64 * kChunks; i += 128) {
    const int32_t row = static_cast<int32_t>(first_row) + i / kChunks;
    const int32_t chunk = i % kChunks;
    uint4 bits = make_uint4(0, 0, 0, 0);
    if (row < rows) {
      const int64_t token = work.first_token + row / group;
      const int64_t head = kv_head * group + row % group;
      bits = *reinterpret_cast<const uint4*>(p.q + token * p.q_pitch + head * kHeadDim * 2 + chunk * 16);
    }
    const uint32_t to = shared.q() + chunk / 8 * kColumnBytes + swizzled(row, chunk % 8 * 16);
    store_shared_16(to, bits);
  }
}

// Zeroes the value rows that no query may use, so that a probability of 0 times what lies there is 0. Both warpgroups
// write the same zeros.
template <int kHeadDim>
__device__ __forceinline__ void zero_value_rows(uint32_t values, int32_t first_row) {
  constexpr int32_t kColumns = kHeadDim / 64;
  const int32_t chunks = (kKeyRows - first_row) * 8;
  for (int32_t column = 0; column < kColumns; ++column) {
    for (int32_t i = static_cast<int32_t>(threadIdx.x % 128); i < chunks; i += 128) {
      const uint32_t to = values + column * kColumnBytes + first_row * kRowBytes + i * 16;
      store_shared_16(to, make_uint4(0, 0, 0, 0));
    }
  }
}

// The online softmax of a thread's two rows.
struct RowState {
  float largest[2] = {-INFINITY, -INFINITY};  // of the scores so far, unscaled
  float sum[2] = {0.0F, 0.0F};                // this thread's columns only, until the end
};

constexpr int kScores = kKeyRows / 2;  // registers of 64 x 128 scores

__device__ __forceinline__ void mask_scores(float (&scores)[kScores], int32_t first_key, const int32_t (&limit)[2]) {
  COVE_UNROLL
  for (int i = 0; i < kScores; ++i) {
    const int32_t key = first_key + i / 4 * 8 + i % 2;
    if (key >= limit[i / 2 % 2]) scores[i] = -INFINITY;
  }
}

// scores become probabilities relative to the new maximum; correction[] is what earlier sums are multiplied with.
__device__ __forceinline__ void soften(float (&scores)[kScores], float scale_log2, RowState& state,
                                       float (&correction)[2]) {
  COVE_UNROLL
  for (int half = 0; half < 2; ++half) {
    float largest = state.largest[half];
    COVE_UNROLL
    for (int i = 0; i < kScores / 2; ++i) largest = fmaxf(largest, scores[i / 2 * 4 + half * 2 + i % 2]);
    largest = fmaxf(largest, __shfl_xor_sync(0xFFFFFFFFU, largest, 1));
    largest = fmaxf(largest, __shfl_xor_sync(0xFFFFFFFFU, largest, 2));
    const float base = largest == -INFINITY ? 0.0F : largest * scale_log2;  // a row that sees no key of this tile
    correction[half] = power_of_two(fmaf(state.largest[half], scale_log2, -base));
    float sum = 0.0F;
    COVE_UNROLL
    for (int i = 0; i < kScores / 2; ++i) {
      float& score = scores[i / 2 * 4 + half * 2 + i % 2];
      score = power_of_two(fmaf(score, scale_log2, -base));
      sum += score;
    }
    state.sum[half] = state.sum[half] * correction[half] + sum;
    state.largest[half] = largest;
  }
}

// The accumulators of 16 keys are, as pairs, the A operand of the next product.
__device__ __forceinline__ void pack_probabilities(const float (&scores)[kScores], uint32_t (&packed)[kScores / 8][4]) {
  COVE_UNROLL
  for (int step = 0; step < kScores / 8; ++step) {
    COVE_UNROLL
    for (int i = 0; i < 4; ++i) {
      packed[step][i] = pack_bf16(scores[step * 8 + i * 2], scores[step * 8 + i * 2 + 1]);
    }
  }
}

// scores = q k^T of one tile, left running.
template <int kHeadDim>
__device__ __forceinline__ void start_scores(float (&scores)[kScores], uint32_t queries, uint32_t keys) {
  const uint64_t a = k_major_descriptor(queries);
  const uint64_t b = k_major_descriptor(keys);
  COVE_UNROLL
  for (int step = 0; step < kHeadDim / 16; ++step) {
    const uint64_t at = step / 4 * (kColumnBytes >> 4U) + step % 4 * kNextStepK;
    wgmma_bf16(scores, a + at, b + at, step > 0 ? 1 : 0);
  }
  wgmma_commit();
}

// out += p v of one tile, left running.
template <int kHeadDim>
__device__ __forceinline__ void start_values(float (&out)[kHeadDim / 2], const uint32_t (&packed)[kScores / 8][4],
                                             uint32_t values) {
  const uint64_t b = n_major_descriptor(values, kColumnBytes);
  COVE_UNROLL
  for (int step = 0; step < kScores / 8; ++step) wgmma_bf16_a_registers(out, packed[step], b + step * kNextStepN, 1);
  wgmma_commit();
}

__device__ __forceinline__ void release(uint32_t empty_barrier) {
  if (threadIdx.x % 32 == 0) barrier_arrive(empty_barrier);
}

// Divides by the sums and stores the rows of tokens through this warpgroup's part of the q tile.
template <int kHeadDim>
__device__ __forceinline__ void store_rows(const AttentionParams& p, const AttentionTile& work, int32_t group,
                                           int32_t kv_head, uint32_t first_row, RowState& state,
                                           const float (&out)[kHeadDim / 2], AttentionShared<kHeadDim> shared) {
  constexpr int kChunks = kHeadDim / 8;
  const uint32_t thread = threadIdx.x % 128;
  const MatrixRow stored = stored_row(thread);
  float inverse[2];
  COVE_UNROLL
  for (int half = 0; half < 2; ++half) {
    state.sum[half] += __shfl_xor_sync(0xFFFFFFFFU, state.sum[half], 1);
    state.sum[half] += __shfl_xor_sync(0xFFFFFFFFU, state.sum[half], 2);
    inverse[half] = 1.0F / state.sum[half];
  }
  COVE_UNROLL
  for (int pair = 0; pair < kHeadDim / 16; ++pair) {
    uint32_t packed[4];
    COVE_UNROLL
    for (int i = 0; i < 4; ++i) {
      const float by = inverse[i % 2];
      packed[i] = pack_bf16(out[pair * 8 + i * 2] * by, out[pair * 8 + i * 2 + 1] * by);
    }
    const uint32_t byte = pair * 32 + stored.block * 16;
    store_matrices(shared.q() + byte / kRowBytes * kColumnBytes + swizzled(first_row + stored.row, byte % kRowBytes),
                   packed[0], packed[1], packed[2], packed[3]);
  }
  sync_named(2 + first_row / 64, 128);  // all 64 rows are there before they are read
  const int32_t rows = work.tokens * group;
  for (int32_t i = static_cast<int32_t>(thread); i < 64 * kChunks; i += 128) {
    const int32_t row = static_cast<int32_t>(first_row) + i / kChunks;
    const int32_t chunk = i % kChunks;
    if (row >= rows) continue;
    const uint32_t from = shared.q() + chunk / 8 * kColumnBytes + swizzled(row, chunk % 8 * 16);
    const uint4 bits = load_shared_16(from);
    const int64_t token = work.first_token + row / group;
    const int64_t head = kv_head * group + row % group;
    *reinterpret_cast<uint4*>(p.out + ((token * p.heads + head) * kHeadDim + chunk * 8) * 2) = bits;
  }
}

template <int kHeadDim>
__device__ __forceinline__ void attend(const AttentionParams& p, const AttentionTile& work, const QueryTile& tile,
                                       int32_t kv_head, AttentionShared<kHeadDim> shared) {
  const uint32_t first_row = (threadIdx.x / 128 - 1) * 64;
  load_queries<kHeadDim>(p, work, tile.group, kv_head, first_row, shared);
  fence_async_shared();
  sync_named(2 + first_row / 64, 128);  // this warpgroup's queries are written before the tensor cores read them
  const uint32_t queries = shared.q() + first_row * kRowBytes;
  const Place place = accumulator_place(static_cast<int>(threadIdx.x % 128), 0);
  const int32_t row = static_cast<int32_t>(first_row) + place.row;
  const int32_t limit[2] = {tile.limit(row), tile.limit(row + 8)};
  const int32_t last = tile.key_tiles() - 1;

  float out[kHeadDim / 2];
  float scores[kScores];
  uint32_t packed[kScores / 8][4];
  RowState state;
  float correction[2];
  RingPlace k_place;
  RingPlace v_place;
  set_zero(out);

  // The values of tile i, once they are there; the last tile's rows behind the last visible key are zeroed.
  const auto wait_values = [&](int32_t key_tile) {
    barrier_wait(shared.v_full(v_place.stage), v_place.parity);
    const int32_t rows = tile.keys() - key_tile * kKeyRows;
    if (rows < kKeyRows) {
      zero_value_rows<kHeadDim>(shared.v(v_place.stage), rows);
      fence_async_shared();
      sync_named(2 + first_row / 64, 128);  // zeros of all threads, before the tensor cores read
    }
  };

  barrier_wait(shared.k_full(k_place.stage), k_place.parity);
  set_zero(scores);
  pin_all(scores);
  wgmma_begin();
  start_scores<kHeadDim>(scores, queries, shared.k(k_place.stage));
  wgmma_wait<0>();
  pin_all(scores);
  release(shared.k_empty(k_place.stage));
  k_place.advance<kKeyStages>();
  mask_scores(scores, last * kKeyRows + place.column, limit);
  soften(scores, p.scale_log2, state, correction);
  pack_probabilities(scores, packed);

  for (int32_t i = last - 1; i >= 0; --i) {
    barrier_wait(shared.k_full(k_place.stage), k_place.parity);
    pin_all(scores);
    pin_all(out);
    wgmma_begin();
    start_scores<kHeadDim>(scores, queries, shared.k(k_place.stage));
    wait_values(i + 1);
    start_values<kHeadDim>(out, packed, shared.v(v_place.stage));
    wgmma_wait<1>();  // the scores; the values go on while their softmax is computed
    pin_all(scores);
    release(shared.k_empty(k_place.stage));
    k_place.advance<kKeyStages>();
    if (tile.masks(i)) mask_scores(scores, i * kKeyRows + place.column, limit);
    soften(scores, p.scale_log2, state, correction);
    wgmma_wait<0>();
    pin_all(out);
    release(shared.v_empty(v_place.stage));
    v_place.advance<kKeyStages>();
    COVE_UNROLL
    for (int r = 0; r < kHeadDim / 2; ++r) out[r] *= correction[r / 2 % 2];
    pack_probabilities(scores, packed);
  }

  wait_values(0);
  pin_all(out);
  wgmma_begin();
  start_values<kHeadDim>(out, packed, shared.v(v_place.stage));
  wgmma_wait<0>();
  pin_all(out);
  store_rows<kHeadDim>(p, work, tile.group, kv_head, first_row, state, out, shared);
}

template <int kHeadDim>
__global__ __launch_bounds__(kAttentionThreads,
                             1) void prefill_attention_kernel(const __grid_constant__ TensorMap k_map,
                                                              const __grid_constant__ TensorMap v_map,
                                                              const __grid_constant__ AttentionParams p) {
  const AttentionShared<kHeadDim> shared{(dynamic_shared() + kAtomBytes - 1) / kAtomBytes * kAtomBytes};
  const auto kv_head = static_cast<int32_t>(blockIdx.x) % p.kv_heads;
  const AttentionTile work = p.tiles[static_cast<int32_t>(blockIdx.x) / p.kv_heads];
  const SequenceSlice slice = p.sequences[work.sequence];
  const QueryTile tile{.first_position = slice.kv_length - slice.token_count + work.first_token - slice.token_begin,
                       .tokens = work.tokens,
                       .group = p.heads / p.kv_heads};
  if (threadIdx.x == 0) {
    for (uint32_t stage = 0; stage < kKeyStages; ++stage) {
      barrier_init(shared.k_full(stage), 1);
      barrier_init(shared.v_full(stage), 1);
      barrier_init(shared.k_empty(stage), kAttentionWarps);
      barrier_init(shared.v_empty(stage), kAttentionWarps);
    }
    fence_barrier_init();
  }
  __syncthreads();
  let_next_kernel_start();
  wait_for_previous_kernel();
  if (threadIdx.x < 128) {
    give_registers<40>();
    if (threadIdx.x < 32) {
      produce_keys<kHeadDim>(k_map, v_map, p, tile, p.page_table + slice.page_begin, kv_head, shared);
    }
  } else {
    take_registers<232>();
    attend<kHeadDim>(p, work, tile, kv_head, shared);
  }
}

}  // namespace cove::cuda::hopper
