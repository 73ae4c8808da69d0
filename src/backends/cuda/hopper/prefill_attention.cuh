#pragma once
// out[t][h] = sum_i softmax_i(scale * q[t][h] . k[i][g]) v[i][g] over the keys i that token t sees, g = h / group:
// flash attention of prompt chunks over a paged cache.
//
// Arrays: q bf16, row t at q + t * q_pitch, [heads][head_dim]; keys, values bf16
// [pages][kv_heads][page_tokens][head_dim] through tensor maps (boxes of one page of one head, or of a tile's pages, 64
// columns, 128-byte swizzle); out bf16 [tokens][heads][head_dim]; 16-byte aligned rows. What lies behind the last
// visible key may be NaN: scores are masked, value rows zeroed. Who: a block a multiprocessor takes units, an
// AttentionTile and a key-value head each; the heads of a group are packed into its 128 rows, so that keys and values
// are fetched once for all. Warpgroup 0 fetches: a warp keys and values, three the next unit's queries; 1 and 2 own 64
// rows each. Bytes and operations of 128 keys, head_dim 128: 64 KB out of L2, 8.4 M operations (2 048 cycles): the
// tensor cores bind, then the exponentials (16 384 at 16 a cycle: 1 024 cycles beside). Sums: scores and sums f32,
// probabilities bf16 as the tensor cores' operand, tiles of keys from last to first. Source: own, after
// FlashAttention-2/3 (Dao; Shah et al.): online softmax, the next scores computed while the last values are added.

#include <cmath>

#include "backends/cuda/hopper/device.cuh"
#include "backends/cuda/hopper/formats.cuh"
#include "backends/cuda/hopper/hopper.h"
#include "backends/cuda/hopper/plan/attention_shape.h"
#include "compute/step.h"

namespace cove::cuda::hopper {

constexpr int kAttentionThreads = 384;
constexpr int kAttentionWarps = 8;  // that read keys and values
constexpr int kQueryThreads = 96;   // that fetch queries
constexpr uint32_t kKeyStages = 2;  // of keys, and as many of values
constexpr uint32_t kQueryStages = 2;
constexpr uint32_t kColumnBytes = kKeyRows * kRowBytes;  // 128 rows of 64 columns

template <int kHeadDim>
struct AttentionShared {
  static constexpr uint32_t kColumns = kHeadDim / 64;
  static constexpr uint32_t kTileBytes = kColumns * kColumnBytes;  // of 128 rows of q, k or v
  static constexpr uint32_t kBarriers = 4 * kKeyStages + 2 * kQueryStages;
  static constexpr uint32_t kSharedBytes = kAtomBytes + (kQueryStages + 2 * kKeyStages) * kTileBytes + kBarriers * 8 +
                                           kQueryStages * 16 + kAttentionThreads * 4;

  uint32_t base;
  __device__ __forceinline__ uint32_t q(uint32_t stage) const { return base + stage * kTileBytes; }
  __device__ __forceinline__ uint32_t k(uint32_t stage) const { return q(kQueryStages + stage); }
  __device__ __forceinline__ uint32_t v(uint32_t stage) const { return k(kKeyStages + stage); }
  __device__ __forceinline__ uint32_t barrier(uint32_t index) const { return k(2 * kKeyStages) + index * 8; }
  __device__ __forceinline__ uint32_t k_full(uint32_t stage) const { return barrier(stage); }
  __device__ __forceinline__ uint32_t v_full(uint32_t stage) const { return barrier(kKeyStages + stage); }
  __device__ __forceinline__ uint32_t k_empty(uint32_t stage) const { return barrier(2 * kKeyStages + stage); }
  __device__ __forceinline__ uint32_t v_empty(uint32_t stage) const { return barrier(3 * kKeyStages + stage); }
  __device__ __forceinline__ uint32_t q_full(uint32_t stage) const { return barrier(4 * kKeyStages + stage); }
  __device__ __forceinline__ uint32_t q_empty(uint32_t stage) const { return q_full(kQueryStages + stage); }
  // Which tile the queries are: 16 bytes.
  __device__ __forceinline__ uint32_t q_tile(uint32_t stage) const { return barrier(kBarriers) + stage * 16; }
  // A word of the thread's own that nobody reads. A store to it that depends on some result keeps what is asked for
  // behind it from being done before: the compiler moves waits for products forward past arithmetic, but not past it.
  __device__ __forceinline__ uint32_t anchor() const { return q_tile(kQueryStages) + threadIdx.x * 4; }
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
  int32_t units;  // tiles x key-value heads
};

// What a block computes at a time: a tile of queries against the keys of one head.
struct AttentionUnit {
  AttentionTile work{};
  QueryTile tile{};
  int32_t kv_head = 0;
  int32_t page_begin = 0;
};
// Units are dealt out from the longest to the shortest, in rounds that run forth and back. -1: no more.
__device__ __forceinline__ int32_t unit_of_round(int32_t round, int32_t units) {
  const auto blocks = static_cast<int32_t>(gridDim.x);
  const auto block = static_cast<int32_t>(blockIdx.x);
  const int32_t unit = round * blocks + (round % 2 == 0 ? block : blocks - 1 - block);
  return unit < units ? unit : -1;
}
__device__ __forceinline__ AttentionUnit attention_unit(const AttentionParams& p, int32_t unit) {
  const AttentionTile work = p.tiles[unit / p.kv_heads];
  const SequenceSlice slice = p.sequences[work.sequence];
  const QueryTile tile{.first_position = slice.kv_length - slice.token_count + work.first_token - slice.token_begin,
                       .tokens = work.tokens,
                       .group = p.heads / p.kv_heads};
  return {work, tile, unit % p.kv_heads, slice.page_begin};
}

// A cache of one layer as the copy engine sees it: boxes of one page of one head, and of a whole tile of keys whose
// pages lie one behind the other.
struct CacheMaps {
  const TensorMap* page;
  const TensorMap* run;
};

// Of a tile of keys: its first page, and the one that this lane fetches. A page behind the last visible key is asked
// for outside the array: it arrives as zeros, and the bytes to wait for stay the same.
struct KeyPages {
  int32_t first = 0;
  int32_t own = 0;
};
__device__ __forceinline__ KeyPages key_pages(const AttentionParams& p, const AttentionUnit& unit, int32_t key_tile) {
  const int32_t tile_pages = kKeyRows / p.page_tokens;
  const int32_t page_count = (unit.tile.keys() + p.page_tokens - 1) / p.page_tokens;
  const int32_t first = key_tile * tile_pages;
  const int32_t own = first + static_cast<int32_t>(threadIdx.x % 32) % tile_pages;
  if (key_tile < 0) return {};
  const int32_t* table = p.page_table + unit.page_begin;
  return {table[first], own < page_count ? table[own] : p.pages};
}

// Copies one tile of keys or values, by one warp: a box per 64 columns where the pages follow each other, which is
// faster, and otherwise lane l fetches page l % pages of the tile, 64 columns l / pages. What a run holds behind the
// last visible key is some other sequence's: masked like the rest of the last page.
template <int kHeadDim>
__device__ __forceinline__ void fetch_keys(const CacheMaps& maps, const AttentionParams& p, const KeyPages& pages,
                                           int32_t kv_head, uint32_t to, uint32_t full_barrier) {
  using Shared = AttentionShared<kHeadDim>;
  const int32_t lane = static_cast<int32_t>(threadIdx.x % 32);
  const int32_t tile_pages = kKeyRows / p.page_tokens;
  const int32_t in_tile = lane % tile_pages;
  if (lane == 0) barrier_expect(full_barrier, Shared::kTileBytes);
  // Also: the bytes are expected before any arrives.
  if (__all_sync(0xFFFFFFFFU, pages.own == pages.first + in_tile || pages.own == p.pages) != 0) {
    if (lane >= static_cast<int32_t>(Shared::kColumns)) return;
    load_3d(to + lane * kColumnBytes, maps.run, lane * 64, kv_head * p.page_tokens, pages.first, full_barrier,
            kKeepNormal);
    return;
  }
  if (lane >= tile_pages * static_cast<int32_t>(Shared::kColumns)) return;
  const int32_t column = lane / tile_pages;
  const int32_t row = (pages.own * p.kv_heads + kv_head) * p.page_tokens;
  load_2d(to + column * kColumnBytes + in_tile * p.page_tokens * kRowBytes, maps.page, column * 64, row, full_barrier,
          kKeepNormal);
}

// One warp: keys and values of every unit, keys one tile ahead of values, page numbers one tile ahead of keys.
template <int kHeadDim>
__device__ __forceinline__ void produce_keys(const CacheMaps& keys, const CacheMaps& values, const AttentionParams& p,
                                             AttentionShared<kHeadDim> shared) {
  RingPlace k_place{0, 1};
  RingPlace v_place{0, 1};
  for (int32_t round = 0;; ++round) {
    const int32_t index = unit_of_round(round, p.units);
    if (index < 0) return;
    const AttentionUnit unit = attention_unit(p, index);
    const int32_t last = unit.tile.key_tiles() - 1;
    KeyPages value_pages;
    KeyPages pages = key_pages(p, unit, last);
    for (int32_t i = last; i >= -1; --i) {
      const KeyPages next = key_pages(p, unit, i - 1);
      if (i >= 0) {
        barrier_wait(shared.k_empty(k_place.stage), k_place.parity);
        fetch_keys<kHeadDim>(keys, p, pages, unit.kv_head, shared.k(k_place.stage), shared.k_full(k_place.stage));
        k_place.advance<kKeyStages>();
      }
      if (i < last) {
        barrier_wait(shared.v_empty(v_place.stage), v_place.parity);
        fetch_keys<kHeadDim>(values, p, value_pages, unit.kv_head, shared.v(v_place.stage),
                             shared.v_full(v_place.stage));
        v_place.advance<kKeyStages>();
      }
      value_pages = pages;
      pages = next;
    }
  }
}

// Three warps: the queries of every unit; rows behind the last token are zeros. And which tile they are.
template <int kHeadDim>
__device__ __forceinline__ void produce_queries(const AttentionParams& p, AttentionShared<kHeadDim> shared) {
  constexpr int kChunks = kHeadDim / 8;  // of 16 bytes
  constexpr int kBatch = 4;              // loads under way
  const auto thread = static_cast<int32_t>(threadIdx.x) - 32;
  RingPlace place{0, 1};
  for (int32_t round = 0;; ++round) {
    const int32_t index = unit_of_round(round, p.units);
    if (index < 0) return;
    const AttentionUnit unit = attention_unit(p, index);
    const int32_t group = unit.tile.group;
    const int32_t rows = unit.work.tokens * group;
    barrier_wait(shared.q_empty(place.stage), place.parity);
    for (int32_t first = thread; first < kQueryRows * kChunks; first += kBatch * kQueryThreads) {
      uint4 bits[kBatch];
      COVE_UNROLL
      for (int j = 0; j < kBatch; ++j) {
        const int32_t row = (first + j * kQueryThreads) / kChunks;
        const int32_t chunk = (first + j * kQueryThreads) % kChunks;
        bits[j] = make_uint4(0, 0, 0, 0);
        if (row >= rows) continue;
        const int64_t token = unit.work.first_token + row / group;
        const int64_t head = unit.kv_head * group + row % group;
        bits[j] = *reinterpret_cast<const uint4*>(p.q + token * p.q_pitch + head * kHeadDim * 2 + chunk * 16);
      }
      COVE_UNROLL
      for (int j = 0; j < kBatch; ++j) {
        const int32_t row = (first + j * kQueryThreads) / kChunks;
        const int32_t chunk = (first + j * kQueryThreads) % kChunks;
        if (row >= kQueryRows) continue;
        store_shared_16(shared.q(place.stage) + chunk / 8 * kColumnBytes + swizzled(row, chunk % 8 * 16), bits[j]);
      }
    }
    if (thread == 0) {
      store_shared_16(
          shared.q_tile(place.stage),
          make_uint4(static_cast<uint32_t>(unit.tile.first_position), static_cast<uint32_t>(unit.tile.tokens),
                     static_cast<uint32_t>(unit.work.first_token), static_cast<uint32_t>(unit.kv_head)));
    }
    fence_async_shared();  // before the tensor cores read
    barrier_arrive(shared.q_full(place.stage));
    place.advance<kQueryStages>();
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
// Maxima and sums are taken in kParts chains, so that none waits for itself.
__device__ __forceinline__ void soften(float (&scores)[kScores], float scale_log2, RowState& state,
                                       float (&correction)[2]) {
  constexpr int kParts = 4;
  float largest[2][kParts];
  COVE_UNROLL
  for (int half = 0; half < 2; ++half) {
    COVE_UNROLL
    for (int part = 0; part < kParts; ++part) largest[half][part] = state.largest[half];
  }
  COVE_UNROLL
  for (int i = 0; i < kScores; ++i) {
    float& part = largest[i / 2 % 2][(i / 4 * 2 + i % 2) % kParts];
    part = fmaxf(part, scores[i]);
  }
  float base[2];
  COVE_UNROLL
  for (int half = 0; half < 2; ++half) {
    float& most = largest[half][0];
    most = fmaxf(fmaxf(most, largest[half][1]), fmaxf(largest[half][2], largest[half][3]));
    most = fmaxf(most, __shfl_xor_sync(0xFFFFFFFFU, most, 1));
    most = fmaxf(most, __shfl_xor_sync(0xFFFFFFFFU, most, 2));
    base[half] = most == -INFINITY ? 0.0F : most * scale_log2;  // a row that sees no key of this tile
    correction[half] = power_of_two(fmaf(state.largest[half], scale_log2, -base[half]));
    state.largest[half] = most;
  }
  float sum[2][kParts] = {};
  COVE_UNROLL
  for (int i = 0; i < kScores; ++i) {
    scores[i] = power_of_two(fmaf(scores[i], scale_log2, -base[i / 2 % 2]));
    sum[i / 2 % 2][(i / 4 * 2 + i % 2) % kParts] += scores[i];
  }
  COVE_UNROLL
  for (int half = 0; half < 2; ++half) {
    state.sum[half] =
        state.sum[half] * correction[half] + ((sum[half][0] + sum[half][1]) + (sum[half][2] + sum[half][3]));
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
__device__ __forceinline__ void store_rows(const AttentionParams& p, const AttentionUnit& unit, uint32_t first_row,
                                           uint32_t queries, RowState& state, const float (&out)[kHeadDim / 2]) {
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
    store_matrices(queries + byte / kRowBytes * kColumnBytes + swizzled(first_row + stored.row, byte % kRowBytes),
                   packed[0], packed[1], packed[2], packed[3]);
  }
  sync_named(2 + first_row / 64, 128);  // all 64 rows are there before they are read
  const int32_t group = unit.tile.group;
  const int32_t rows = unit.tile.tokens * group;
  COVE_UNROLL
  for (int step = 0; step < 64 * kChunks / 128; ++step) {
    const int32_t i = static_cast<int32_t>(thread) + step * 128;
    const int32_t row = static_cast<int32_t>(first_row) + i / kChunks;
    const int32_t chunk = i % kChunks;
    if (row >= rows) continue;
    const uint4 bits = load_shared_16(queries + chunk / 8 * kColumnBytes + swizzled(row, chunk % 8 * 16));
    const int64_t token = unit.work.first_token + row / group;
    const int64_t head = unit.kv_head * group + row % group;
    *reinterpret_cast<uint4*>(p.out + ((token * p.heads + head) * kHeadDim + chunk * 8) * 2) = bits;
  }
}

// The two warpgroups take turns: the products of one are asked for before those of the other, so that one computes
// exponentials while the tensor cores work for the other. Warpgroup 1 passes a turn before its first, and both take
// equally many.
constexpr uint32_t kTurnBarrier = 4;  // named barriers 4 and 5
constexpr uint32_t kTurnThreads = 256;
__device__ __forceinline__ void wait_turn(uint32_t warpgroup) { sync_named(kTurnBarrier + warpgroup, kTurnThreads); }
__device__ __forceinline__ void pass_turn(uint32_t warpgroup) {
  arrive_named(kTurnBarrier + (warpgroup ^ 1U), kTurnThreads);
}

struct KeyPlaces {
  RingPlace k;
  RingPlace v;
};

// One unit of a warpgroup: its 64 rows against all keys that they see.
template <int kHeadDim>
__device__ __forceinline__ void attend(const AttentionParams& p, const AttentionUnit& unit, uint32_t query_tile,
                                       uint32_t warpgroup, KeyPlaces& at, AttentionShared<kHeadDim> shared) {
  const QueryTile& tile = unit.tile;
  const uint32_t first_row = warpgroup * 64;
  const uint32_t queries = query_tile + first_row * kRowBytes;
  const Place place = accumulator_place(static_cast<int>(threadIdx.x % 128), 0);
  const int32_t row = static_cast<int32_t>(first_row) + place.row;
  const int32_t limit[2] = {tile.limit(row), tile.limit(row + 8)};
  const int32_t last = tile.key_tiles() - 1;

  float out[kHeadDim / 2];
  float scores[kScores];
  uint32_t packed[kScores / 8][4];
  RowState state;
  float correction[2];
  set_zero(out);

  // The values of tile i, once they are there; the last tile's rows behind the last visible key are zeroed.
  const auto wait_values = [&](int32_t key_tile) {
    barrier_wait(shared.v_full(at.v.stage), at.v.parity);
    const int32_t rows = tile.keys() - key_tile * kKeyRows;
    if (rows < kKeyRows) {
      zero_value_rows<kHeadDim>(shared.v(at.v.stage), rows);
      fence_async_shared();
      sync_named(2 + warpgroup, 128);  // zeros of all threads, before the tensor cores read
    }
  };

  barrier_wait(shared.k_full(at.k.stage), at.k.parity);
  set_zero(scores);
  pin_all(scores);
  wait_turn(warpgroup);
  wgmma_begin();
  start_scores<kHeadDim>(scores, queries, shared.k(at.k.stage));
  pass_turn(warpgroup);
  wgmma_wait<0>();
  pin_all(scores);
  release(shared.k_empty(at.k.stage));
  at.k.advance<kKeyStages>();
  mask_scores(scores, last * kKeyRows + place.column, limit);
  soften(scores, p.scale_log2, state, correction);
  pack_probabilities(scores, packed);

  // The scores of tile i and the values of the tile before. Without a branch between the products and the wait for
  // them: the compiler would wait there.
  const auto next_tile = [&](int32_t i, const auto& mask) {
    barrier_wait(shared.k_full(at.k.stage), at.k.parity);
    wait_values(i + 1);
    pin_all(scores);
    pin_all(out);
    wait_turn(warpgroup);
    wgmma_begin();
    start_scores<kHeadDim>(scores, queries, shared.k(at.k.stage));
    start_values<kHeadDim>(out, packed, shared.v(at.v.stage));
    pass_turn(warpgroup);
    wgmma_wait<1>();  // the scores; the values go on while their softmax is computed
    pin_all(scores);
    release(shared.k_empty(at.k.stage));
    at.k.advance<kKeyStages>();
    mask(i);
    soften(scores, p.scale_log2, state, correction);
    store_shared(shared.anchor(), __float_as_uint(state.sum[0] + state.sum[1]));
    wgmma_wait<0>();
    pin_all(out);
    release(shared.v_empty(at.v.stage));
    at.v.advance<kKeyStages>();
    COVE_UNROLL
    for (int r = 0; r < kHeadDim / 2; ++r) out[r] *= correction[r / 2 % 2];
    pack_probabilities(scores, packed);
  };
  int32_t i = last - 1;
  for (; i >= 0 && tile.masks(i); --i) {
    next_tile(i, [&](int32_t key_tile) { mask_scores(scores, key_tile * kKeyRows + place.column, limit); });
  }
  for (; i >= 0; --i) next_tile(i, [](int32_t) {});

  wait_values(0);
  pin_all(out);
  wgmma_begin();
  start_values<kHeadDim>(out, packed, shared.v(at.v.stage));
  wgmma_wait<0>();
  pin_all(out);
  release(shared.v_empty(at.v.stage));
  at.v.advance<kKeyStages>();
  store_rows<kHeadDim>(p, unit, first_row, query_tile, state, out);
}

template <int kHeadDim>
__device__ __forceinline__ void consume_units(const AttentionParams& p, AttentionShared<kHeadDim> shared) {
  const uint32_t warpgroup = threadIdx.x / 128 - 1;
  RingPlace place;
  KeyPlaces at;
  if (warpgroup == 1) pass_turn(warpgroup);  // the first one begins
  for (int32_t round = 0; unit_of_round(round, p.units) >= 0; ++round) {
    barrier_wait(shared.q_full(place.stage), place.parity);
    const uint4 is = load_shared_16(shared.q_tile(place.stage));
    const AttentionUnit unit{.work = {.first_token = static_cast<int32_t>(is.z), .tokens = static_cast<int32_t>(is.y)},
                             .tile = {static_cast<int32_t>(is.x), static_cast<int32_t>(is.y), p.heads / p.kv_heads},
                             .kv_head = static_cast<int32_t>(is.w)};
    attend<kHeadDim>(p, unit, shared.q(place.stage), warpgroup, at, shared);
    __syncwarp();  // all lanes have read what they store
    release(shared.q_empty(place.stage));
    place.advance<kQueryStages>();
  }
}

template <int kHeadDim>
__global__ __launch_bounds__(kAttentionThreads,
                             1) void prefill_attention_kernel(const __grid_constant__ TensorMap k_page_map,
                                                              const __grid_constant__ TensorMap k_run_map,
                                                              const __grid_constant__ TensorMap v_page_map,
                                                              const __grid_constant__ TensorMap v_run_map,
                                                              const __grid_constant__ AttentionParams p) {
  const AttentionShared<kHeadDim> shared{(dynamic_shared() + kAtomBytes - 1) / kAtomBytes * kAtomBytes};
  if (threadIdx.x == 0) {
    for (uint32_t stage = 0; stage < kKeyStages; ++stage) {
      barrier_init(shared.k_full(stage), 1);
      barrier_init(shared.v_full(stage), 1);
      barrier_init(shared.k_empty(stage), kAttentionWarps);
      barrier_init(shared.v_empty(stage), kAttentionWarps);
    }
    for (uint32_t stage = 0; stage < kQueryStages; ++stage) {
      barrier_init(shared.q_full(stage), kQueryThreads);
      barrier_init(shared.q_empty(stage), kAttentionWarps);
    }
    fence_barrier_init();
  }
  __syncthreads();
  let_next_kernel_start();
  wait_for_previous_kernel();
  if (threadIdx.x < 128) {
    give_registers<56>();
    if (threadIdx.x < 32) {
      produce_keys<kHeadDim>({&k_page_map, &k_run_map}, {&v_page_map, &v_run_map}, p, shared);
    } else {
      produce_queries<kHeadDim>(p, shared);
    }
  } else {
    take_registers<224>();
    consume_units<kHeadDim>(p, shared);
  }
}

}  // namespace cove::cuda::hopper
