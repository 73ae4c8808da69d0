// softmax(q k^T scale) v over a paged cache, for sequences that add one token; with `turns`, also what rope_kv does.
//
// 1 as in attention.cu, with one token a sequence      2 shapes: attention.h, rows.h (LayerCache)
// 3 head_dim a multiple of 8 (e4m3: 16); padded with zeros to 64 or 128 in registers and shared memory (with turns: 64
// or 128 itself); a bf16 or e4m3 cache, pages of a multiple of 16 positions
// 4 a block has one sequence, one key head and one split of its positions; all heads of the group are rows of one
// matrix operand. Its warps take 16 positions at a time in turn, each with a ring and a softmax of its own, and meet
// once 5 bytes of keys and values bind: 4 head_dim a position and key head in bf16, 2 head_dim + 2 in e4m3 6 scores and
// sums in f32, weights in bf16 (e4m3: f16) for the product with the values; rotated queries and keys rounded to bf16 7
// own, after Flash-Decoding. What was
// cached in earlier steps is asked for before the kernels before this one have ended; the new position comes last, by
// way of shared memory. How a sequence is split depends on the batch, so that this kernel is not for
// engine.reproducible
#include "backends/cuda/kernels/attention.h"
#include "backends/cuda/kernels/attention_parts.h"
#include "backends/cuda/kernels/decode_parts.h"
#include "backends/cuda/kernels/language.h"

namespace cove::cuda {
namespace {

using namespace dev;

constexpr auto kKeys = static_cast<int>(kDecodeStepKeys);  // of a warp's step
constexpr int kWarps = 3;
constexpr int kBlocks = 4;  // of a multiprocessor

// The new token's rows: queries of the group's heads, then from kDecodeRowsMax on its key and its value.
template <int kDim>
struct Fresh {
  uint16_t rows[kDecodeRowsMax + 2][kDim + 8];  // eight rows fall on different banks
  uint32_t powers[2];  // of an e4m3 cache that has the key and the value already: then those rows are codes
};

// The ring of a warp.
template <int kDim, bool kFp8>
struct Ring {
  static constexpr int kStages = 2;
  Stage<kDim, kKeys> stages[kStages];
};
template <int kDim>
struct Ring<kDim, true> {
  static constexpr int kStages = 3;
  CodeStage<kDim, kKeys> stages[kStages];
};
// Of one warp, in the memory of the rings.
template <int kDim>
struct WarpResult {
  float values[kDecodeRowsMax][kDim + 8];
  float facts[kDecodeRowsMax][2];  // largest score, sum of weights
};

template <int kDim>
struct Results {
  WarpResult<kDim> warps[kWarps];
  unsigned is_last;
};

template <int kDim, bool kFp8>
struct Memory {
  union {
    Ring<kDim, kFp8> rings[kWarps];
    Results<kDim> results;
  };
  Fresh<kDim> fresh;
};

// What a block computes. 32 bits throughout: 64-bit divisions are long in instructions, and what a block runs once
// costs as many reads of them.
struct Unit {
  DecodeTile tile;
  int32_t kv_head;
  int32_t group;
  int32_t begin;  // positions of the split
  int32_t end;
};

// A warp's share of the split: kKeys positions at a time, every kWarps-th.
struct Share {
  int32_t begin;
  int32_t steps;

  __device__ __forceinline__ explicit Share(const Unit& u)
      : begin(u.begin + static_cast<int32_t>(threadIdx.x / 32) * kKeys), steps(0) {
    if (begin < u.end) steps = (u.end - begin + kWarps * kKeys - 1) / (kWarps * kKeys);
  }
  __device__ __forceinline__ int32_t position(int32_t step) const { return begin + step * kWarps * kKeys; }
};

// Where step first + lane lies in the layer's cache, of the 32 steps that come next: its place in rows, which are
// counted as [pages][kv_heads][page_tokens], in units of a step. Any step behind the share's end.
__device__ __forceinline__ uint32_t load_places(const DecodeAttentionLaunch& a, const Unit& u, const Share& share,
                                                int32_t first) {
  const int32_t step = first + lane();
  const auto position = static_cast<uint32_t>(share.position(step < share.steps ? step : 0));
  const auto page_tokens = static_cast<uint32_t>(a.cache.page_tokens);
  const auto page = static_cast<uint32_t>(a.page_table[u.tile.page_begin + position / page_tokens]);
  const auto kv_heads = static_cast<uint32_t>(a.cache.kv_heads);
  return (page * kv_heads + u.kv_head) * (page_tokens / kKeys) + position % page_tokens / kKeys;
}

// How many positions from `position` on are in the cache, of those that the split has.
__device__ __forceinline__ int32_t cached_from(const Unit& u, int32_t position) {
  return (u.end < u.tile.kv_length ? u.end : u.tile.kv_length - 1) - position;
}

// `count` rows' chunks of 16 bytes from place on, lanes side by side; zeros for rows behind and columns from dim on.
template <int kColumns, int kChunkColumns, class Value, int kPitch>
__device__ __forceinline__ void copy_rows(const void* side, uint32_t place, int32_t dim, int32_t count,
                                          Value (&to)[kKeys][kPitch]) {
  constexpr int kChunks = kColumns / kChunkColumns;  // of a row
  constexpr int kRows = 32 / kChunks;                // at once
  const int column = lane() % kChunks * kChunkColumns;
  const int first = lane() / kChunks;
  const Value* from =
      static_cast<const Value*>(side) + static_cast<int64_t>(place) * (kKeys * dim) + first * dim + column;
  if (column >= dim) count = 0;
#pragma unroll
  for (int key = 0; key < kKeys; key += kRows)
    copy_async(&to[key + first][column], from + key * dim, key + first < count);
}

// A step is inside one page. Of the sequence's last position, which this step of the model writes, and of what lies
// behind, zeros: that may be garbage.
template <int kDim>
__device__ __forceinline__ void load_step(const DecodeAttentionLaunch& a, int32_t dim, int32_t cached, uint32_t place,
                                          Stage<kDim, kKeys>& stage) {
  copy_rows<kDim, 8>(a.cache.keys, place, dim, cached, stage.keys);
  copy_rows<kDim, 8>(a.cache.values, place, dim, cached, stage.values);
}

// The same of codes; their powers come as they are.
template <int kDim>
__device__ __forceinline__ void load_step(const DecodeAttentionLaunch& a, int32_t dim, int32_t cached, uint32_t place,
                                          CodeStage<kDim, kKeys>& stage) {
  copy_rows<kDim, 16>(a.cache.keys, place, dim, cached, stage.codes[kKeySide]);
  copy_rows<kDim, 16>(a.cache.values, place, dim, cached, stage.codes[kValueSide]);
  static_assert(kKeys == kPowerRows);
  if (lane() < 2)
    copy_async(stage.powers[lane()],
               static_cast<const unsigned char*>(a.cache.powers) + (place * int64_t{2} + lane()) * kKeys, true);
}

// The pairs of columns (i, i + head_dim / 2) of two words each, turned by their angles.
__device__ __forceinline__ void turn_pair(const Vec4& turns, uint32_t& low, uint32_t& high) {
  const float cosine[2] = {bits_to_float(turns.x), bits_to_float(turns.z)};
  const float sine[2] = {bits_to_float(turns.y), bits_to_float(turns.w)};
  const float a[2] = {low_bf16(low), high_bf16(low)};
  const float b[2] = {low_bf16(high), high_bf16(high)};
  low = pack_bf16(a[0] * cosine[0] - b[0] * sine[0], a[1] * cosine[1] - b[1] * sine[1]);
  high = pack_bf16(b[0] * cosine[0] + a[0] * sine[0], b[1] * cosine[1] + a[1] * sine[1]);
}

__device__ __forceinline__ Vec4 load_octet(const uint16_t* from, bool there) {
  return there ? *reinterpret_cast<const Vec4*>(from) : Vec4{0, 0, 0, 0};
}

// Where row `row` of the token begins: a head of q, then the new key, then the new value. Unless this kernel rotates,
// keys and values are in the cache already.
template <bool kRotates>
__device__ __forceinline__ const uint16_t* row_of(const DecodeAttentionLaunch& a, const Unit& u, int32_t row,
                                                  int64_t slot_at) {
  const auto heads = static_cast<int32_t>(a.heads);
  const auto kv_heads = static_cast<int32_t>(a.cache.kv_heads);
  if (!kRotates && row >= u.group)
    return static_cast<const uint16_t*>(row == u.group ? a.cache.keys : a.cache.values) + slot_at;
  int32_t head = u.kv_head * u.group + row;
  if (row >= u.group) head = heads + u.kv_head + (row > u.group ? kv_heads : 0);
  return static_cast<const uint16_t*>(a.qkv) +
         static_cast<int64_t>(u.tile.token * (heads + 2 * kv_heads) + head) * a.cache.head_dim;
}

// The new position's row in the layer's cache.
__device__ __forceinline__ int64_t slot_row(const DecodeAttentionLaunch& a, const Unit& u) {
  const auto page_tokens = static_cast<int32_t>(a.cache.page_tokens);
  const int64_t head = u.tile.slot / page_tokens * a.cache.kv_heads + u.kv_head;
  return head * page_tokens + u.tile.slot % page_tokens;
}

// The new position's codes and powers, which rope_kv has written, to shared memory.
template <int kDim>
__device__ __forceinline__ void load_fresh_codes(const DecodeAttentionLaunch& a, const Unit& u, Fresh<kDim>& fresh) {
  constexpr auto kChunks = static_cast<unsigned>(kDim / 16);
  if (threadIdx.x >= 2 * kChunks) return;
  const auto side = static_cast<int>(threadIdx.x / kChunks);
  const auto column = static_cast<int32_t>(threadIdx.x % kChunks * 16);
  const auto* from = static_cast<const unsigned char*>(side == kKeySide ? a.cache.keys : a.cache.values);
  const bool there = column < a.cache.head_dim;
  auto* to = reinterpret_cast<unsigned char*>(fresh.rows[kDecodeRowsMax + side]) + column;
  *reinterpret_cast<Vec4*>(to) =
      there ? *reinterpret_cast<const Vec4*>(from + slot_row(a, u) * a.cache.head_dim + column) : Vec4{0, 0, 0, 0};
  if (column == 0)
    fresh.powers[side] = static_cast<const unsigned char*>(a.cache.powers)[power_at(slot_row(a, u), side)];
}

// The queries, and where the split has the new position its key and value, to shared memory; rotated if asked for, key
// and value then also to a bf16 cache. A thread takes eight columns and those half a row further on.
template <int kDim, bool kRotates, bool kFp8>
__device__ __forceinline__ void load_fresh(const DecodeAttentionLaunch& a, const Unit& u, Fresh<kDim>& fresh) {
  constexpr int kOctets = kDim / 16;  // of half a row
  const int32_t dim = kRotates ? kDim : static_cast<int32_t>(a.cache.head_dim);
  const int64_t slot_at = slot_row(a, u) * dim;
  const bool has_new = u.end == u.tile.kv_length;
  if (kFp8 && !kRotates && has_new) load_fresh_codes<kDim>(a, u, fresh);
  const int32_t rows = u.group + (has_new && (kRotates || !kFp8) ? 2 : 0);
#pragma unroll 1
  for (auto i = static_cast<int32_t>(threadIdx.x); i < rows * kOctets; i += kWarps * 32) {
    const int32_t row = i / kOctets;
    const int32_t column = i % kOctets * 8;
    const uint16_t* from = row_of<kRotates>(a, u, row, slot_at) + column;
    Vec4 low = load_octet(from, column < dim);
    Vec4 high = load_octet(from + kDim / 2, column + kDim / 2 < dim);
    if (kRotates && row <= u.group) {
      const auto* turns = reinterpret_cast<const Vec4*>(a.turns + (u.tile.token * (kDim / 2) + column) * 2);
      const Vec4 t[4] = {turns[0], turns[1], turns[2], turns[3]};
      turn_pair(t[0], low.x, high.x);
      turn_pair(t[1], low.y, high.y);
      turn_pair(t[2], low.z, high.z);
      turn_pair(t[3], low.w, high.w);
    }
    uint16_t* to = fresh.rows[row < u.group ? row : static_cast<int32_t>(kDecodeRowsMax) + row - u.group];
    if (kFp8 && row < u.group) {
      store_query(low, to, column);
      store_query(high, to, column + kDim / 2);
      continue;
    }
    *reinterpret_cast<Vec4*>(to + column) = low;
    *reinterpret_cast<Vec4*>(to + column + kDim / 2) = high;
    if (!kFp8 && kRotates && row >= u.group) {
      uint16_t* cached = static_cast<uint16_t*>(row == u.group ? a.cache.keys : a.cache.values) + slot_at + column;
      *reinterpret_cast<Vec4*>(cached) = low;
      *reinterpret_cast<Vec4*>(cached + kDim / 2) = high;
    }
  }
}

// Rows behind the group's hold anything: no row of a product depends on another.
template <int kDim>
__device__ __forceinline__ void load_heads(const Fresh<kDim>& fresh, uint32_t (&q)[kDim / 16][4]) {
#pragma unroll
  for (int k = 0; k < kDim / 16; ++k) load_matrices(q[k], &fresh.rows[lane() % 16][16 * k + lane() / 16 * 8]);
}

// The new position's key and value into its step.
template <int kDim, bool kRotates>
__device__ __forceinline__ void place_fresh(const DecodeAttentionLaunch&, const Unit&, const Fresh<kDim>& fresh,
                                            int32_t key, Stage<kDim, kKeys>& stage) {
  const int column = lane() % 16 * 8;
  uint16_t* to = lane() < 16 ? stage.keys[key] : stage.values[key];
  if (column < kDim)
    *reinterpret_cast<Vec4*>(to + column) =
        *reinterpret_cast<const Vec4*>(&fresh.rows[kDecodeRowsMax + lane() / 16][column]);
  warp_sync();
}

// As codes; with kRotates they are made here, and go to the cache too. The lower lanes have the key, the others the
// value, eight columns each.
template <int kDim, bool kRotates>
__device__ __forceinline__ void place_fresh(const DecodeAttentionLaunch& a, const Unit& u, const Fresh<kDim>& fresh,
                                            int32_t key, CodeStage<kDim, kKeys>& stage) {
  const int side = lane() / 16;
  const int column = lane() % 16 * 8;
  const uint16_t* row = fresh.rows[kDecodeRowsMax + side];
  uint32_t power = 0;
  Vec2 codes = {0, 0};
  if constexpr (kRotates) {
    const Vec4 octet = load_octet(row + column, column < kDim);
    uint32_t most = most_bits(octet);
#pragma unroll
    for (int mask = 8; mask > 0; mask /= 2) most = larger_of(most, shuffle_xor(most, mask));
    power = power_for(most);
    codes = cache_codes(octet, power);
    const int64_t cache_row = slot_row(a, u);
    auto* cached = static_cast<unsigned char*>(side == kKeySide ? a.cache.keys : a.cache.values) + cache_row * kDim;
    if (column < kDim) *reinterpret_cast<Vec2*>(cached + column) = codes;
    if (column == 0)
      static_cast<unsigned char*>(a.cache.powers)[power_at(cache_row, side)] = static_cast<unsigned char>(power);
  } else {
    power = fresh.powers[side];
    if (column < kDim) codes = reinterpret_cast<const Vec2*>(row)[column / 8];
  }
  if (column < kDim) *reinterpret_cast<Vec2*>(&stage.codes[side][key][column]) = codes;
  if (column == 0) stage.powers[side][key] = static_cast<unsigned char>(power);
  warp_sync();
}

// Sums 8 n + 2 t, 2 t + 1 of a row; of codes, sums n and n + 1 (n even) are columns 8 n + 4 t .. 4 t + 3.
template <int kDim, bool kFp8>
__device__ __forceinline__ void leave_values(const Running<kDim>& r, int half, float* row) {
  if constexpr (kFp8) {
#pragma unroll
    for (int n = 0; n < kDim / 8; n += 2) {
      *reinterpret_cast<Vec4*>(&row[8 * n + lane() % 4 * 4]) = {
          float_to_bits(r.values[n][2 * half]), float_to_bits(r.values[n + 1][2 * half]),
          float_to_bits(r.values[n][2 * half + 1]), float_to_bits(r.values[n + 1][2 * half + 1])};
    }
  } else {
#pragma unroll
    for (int n = 0; n < kDim / 8; ++n) {
      *reinterpret_cast<Vec2*>(&row[8 * n + lane() % 4 * 2]) = {float_to_bits(r.values[n][2 * half]),
                                                                float_to_bits(r.values[n][2 * half + 1])};
    }
  }
}

template <int kDim, bool kFp8>
__device__ __forceinline__ void leave_result(int32_t rows, const Running<kDim>& r, WarpResult<kDim>& to) {
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int row = lane() / 4 + 8 * half;
    if (row >= rows) continue;
    leave_values<kDim, kFp8>(r, half, to.values[row]);
    if (lane() % 4 == 0) {
      to.facts[row][0] = r.largest[half];
      to.facts[row][1] = r.total[half];
    }
  }
}

// A split's result in the workspace: [rows][head_dim] values, then [rows] {largest, total}.
__device__ __forceinline__ float* partial_of(const DecodeAttentionLaunch& a, int32_t split) {
  const auto kv_heads = static_cast<int32_t>(a.cache.kv_heads);
  const int32_t unit = static_cast<int32_t>(blockIdx.z) * kv_heads + static_cast<int32_t>(blockIdx.y);
  return a.partials + (static_cast<int64_t>(unit) * a.splits + split) * kDecodeRowsMax * (a.cache.head_dim + 2);
}

// Four columns of a row, folded from `count` results; values and facts of result i lie i * step floats further on.
struct Folded {
  float largest = kMinusInfinity;
  float total = 0;
  float values[4] = {};
};
__device__ __forceinline__ Folded fold_results(const float* values, const float* facts, int32_t step, int32_t count) {
  Folded all;
#pragma unroll 4
  for (int32_t i = 0; i < count; ++i, values += step, facts += step) {
    const Vec4 v = *reinterpret_cast<const Vec4*>(values);
    const Vec2 fact = *reinterpret_cast<const Vec2*>(facts);
    const Fold f = fold_of(all.largest, bits_to_float(fact.x));
    all.largest = f.largest;
    all.total = fold(f, all.total, bits_to_float(fact.y));
    all.values[0] = fold(f, all.values[0], bits_to_float(v.x));
    all.values[1] = fold(f, all.values[1], bits_to_float(v.y));
    all.values[2] = fold(f, all.values[2], bits_to_float(v.z));
    all.values[3] = fold(f, all.values[3], bits_to_float(v.w));
  }
  return all;
}

__device__ __forceinline__ void store_output(const DecodeAttentionLaunch& a, const Unit& u, int32_t row, int32_t column,
                                             const Folded& all) {
  const float inverse = 1.0F / all.total;
  const int32_t head = u.kv_head * u.group + row;
  auto* out = static_cast<uint16_t*>(a.out) +
              static_cast<int64_t>(u.tile.token * static_cast<int32_t>(a.heads) + head) * a.cache.head_dim + column;
  *reinterpret_cast<Vec2*>(out) = {pack_bf16(all.values[0] * inverse, all.values[1] * inverse),
                                   pack_bf16(all.values[2] * inverse, all.values[3] * inverse)};
}

// Calls use(row, column) for every four columns of the group's rows, spread over the block.
template <int kDim, class Use>
__device__ __forceinline__ void for_quads(const DecodeAttentionLaunch& a, const Unit& u, const Use& use) {
  constexpr int kQuads = kDim / 4;
#pragma unroll 1
  for (auto i = static_cast<int32_t>(threadIdx.x); i < u.group * kQuads; i += kWarps * 32) {
    const int32_t column = i % kQuads * 4;
    if (column < a.cache.head_dim) use(i / kQuads, column);
  }
}

// The warps' results in their order: to the output, or to the workspace as a split's.
template <int kDim>
__device__ __forceinline__ void fold_warps(const DecodeAttentionLaunch& a, const Unit& u,
                                           const WarpResult<kDim>* results, bool is_split) {
  constexpr int kStep = sizeof(WarpResult<kDim>) / sizeof(float);
  const auto dim = static_cast<int32_t>(a.cache.head_dim);
  float* partial = partial_of(a, static_cast<int32_t>(blockIdx.x));
  for_quads<kDim>(a, u, [&](int32_t row, int32_t column) {
    const Folded all = fold_results(&results[0].values[row][column], results[0].facts[row], kStep, kWarps);
    if (!is_split) {
      store_output(a, u, row, column, all);
      return;
    }
    *reinterpret_cast<Vec4*>(partial + row * dim + column) = {
        float_to_bits(all.values[0]), float_to_bits(all.values[1]), float_to_bits(all.values[2]),
        float_to_bits(all.values[3])};
    if (column == 0)
      *reinterpret_cast<Vec2*>(partial + kDecodeRowsMax * dim + 2 * row) = {float_to_bits(all.largest),
                                                                            float_to_bits(all.total)};
  });
}

// The block that is the last of its unit folds the splits' results in order.
template <int kDim>
__device__ __forceinline__ void fold_splits(const DecodeAttentionLaunch& a, const Unit& u, int32_t splits) {
  const auto dim = static_cast<int32_t>(a.cache.head_dim);
  const float* partial = partial_of(a, 0);
  for_quads<kDim>(a, u, [&](int32_t row, int32_t column) {
    store_output(a, u, row, column,
                 fold_results(partial + row * dim + column, partial + kDecodeRowsMax * dim + 2 * row,
                              static_cast<int32_t>(kDecodeRowsMax) * (dim + 2), splits));
  });
}

// The warp's share: softmax and sums of its positions.
template <int kDim, bool kRotates, bool kFp8>
__device__ __forceinline__ void attend(const DecodeAttentionLaunch& a, const Unit& u, Memory<kDim, kFp8>& memory,
                                       Running<kDim>& running) {
  constexpr int kStages = Ring<kDim, kFp8>::kStages;
  const int32_t dim = kRotates ? kDim : static_cast<int32_t>(a.cache.head_dim);
  const Share share(u);
  auto& stages = memory.rings[threadIdx.x / 32].stages;
  const float scale = a.scale * kLog2e;
  uint32_t q[kDim / 16][4];
  uint32_t places = 0;
  // Turn i computes step i - kStages, if there is one, and asks for step i. Only the last position is written in this
  // step of the model: the first kStages steps are asked for before the kernels before this one have ended.
#pragma unroll 1
  for (int32_t ask = 0;; ++ask) {
    const int32_t step = ask - kStages;
    if (step == 0) {
      let_next_kernel_start();
      wait_for_previous_kernel();
      load_fresh<kDim, kRotates, kFp8>(a, u, memory.fresh);
      block_sync();  // the fresh rows are there
      load_heads<kDim>(memory.fresh, q);
    }
    if (step >= share.steps) break;
    auto& stage = stages[ask % kStages];
    if (step >= 0) {
      const int32_t position = share.position(step);
      copy_wait<kStages - 1>();
      warp_sync();  // all lanes' copies of this stage are there
      const int32_t fresh_key = u.tile.kv_length - 1 - position;
      if (fresh_key < kKeys) place_fresh<kDim, kRotates>(a, u, memory.fresh, fresh_key, stage);
      float scores[kKeys / 8][4];
      score<kDim, kKeys>(stage, q, scores);
      weigh<kDim, kKeys>(stage, u.group, u.end, position, scale, scores, running);
      add_values<kDim, kKeys>(stage, scores, running);
      warp_sync();  // all lanes have read the stage that is asked for next
    }
    if (ask < share.steps) {
      if (ask % 32 == 0) places = load_places(a, u, share, ask);
      load_step<kDim>(a, dim, cached_from(u, share.position(ask)), shuffle(places, ask), stage);
    }
    copy_commit();
  }
  copy_wait<0>();
}

// grid: splits, key heads, tiles.
template <int kDim, bool kRotates, bool kFp8>
__global__ void __launch_bounds__(kWarps * 32, kBlocks) decode_attention_kernel(DecodeAttentionLaunch a) {
  Unit u;
  u.tile = a.tiles[blockIdx.z];
  const auto split_keys = static_cast<int32_t>(a.split_keys);
  u.begin = static_cast<int32_t>(blockIdx.x) * split_keys;
  if (u.begin >= u.tile.kv_length) return;  // launched for a longer sequence
  u.end = u.begin + split_keys < u.tile.kv_length ? u.begin + split_keys : u.tile.kv_length;
  u.kv_head = static_cast<int32_t>(blockIdx.y);
  u.group = static_cast<int32_t>(static_cast<uint32_t>(a.heads) / static_cast<uint32_t>(a.cache.kv_heads));

  auto& memory = *reinterpret_cast<Memory<kDim, kFp8>*>(shared_memory());
  Running<kDim> running;
  reset(running);
  attend<kDim, kRotates, kFp8>(a, u, memory, running);
  block_sync();  // the rings' memory is free
  leave_result<kDim, kFp8>(u.group, running, memory.results.warps[threadIdx.x / 32]);
  block_sync();  // all warps' results are there
  const int32_t splits = (u.tile.kv_length + split_keys - 1) / split_keys;
  fold_warps<kDim>(a, u, memory.results.warps, splits > 1);
  if (splits == 1) return;
  unsigned* counter = a.counters + blockIdx.z * static_cast<uint32_t>(a.cache.kv_heads) + blockIdx.y;
  if (is_last(counter, splits, &memory.results.is_last)) fold_splits<kDim>(a, u, splits);
}

template <int kDim, bool kRotates, bool kFp8>
const char* launch_as(const DecodeAttentionLaunch& args, void* stream) {
  const LaunchShape shape = {.grid_x = static_cast<unsigned>(args.splits),
                             .grid_y = static_cast<unsigned>(args.cache.kv_heads),
                             .grid_z = static_cast<unsigned>(args.tile_count),
                             .threads = kWarps * 32,
                             .shared_bytes = sizeof(Memory<kDim, kFp8>)};
  return launch(shape, stream, decode_attention_kernel<kDim, kRotates, kFp8>, args);
}

template <bool kFp8>
const char* launch_for(const DecodeAttentionLaunch& args, void* stream) {
  const int64_t dim = args.cache.head_dim;
  if (args.turns == nullptr)
    return dim <= 64 ? launch_as<64, false, kFp8>(args, stream) : launch_as<128, false, kFp8>(args, stream);
  if (!decode_rotates(dim)) return "rotation in the attention kernel: head_dim must be 64 or 128";
  return dim == 64 ? launch_as<64, true, kFp8>(args, stream) : launch_as<128, true, kFp8>(args, stream);
}

}  // namespace

const char* launch_decode_attention(const DecodeAttentionLaunch& args, void* stream) {
  if (args.tile_count == 0) return nullptr;
  if (args.tile_count > 65535) return "a step of more than 65535 attention tiles";
  return args.cache.powers != nullptr ? launch_for<true>(args, stream) : launch_for<false>(args, stream);
}

}  // namespace cove::cuda
