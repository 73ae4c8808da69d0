// softmax(q k^T scale) v over a paged cache, for sequences that add one token.
//
// 1 as in attention.cu, with one token a tile          2 shapes: attention.h, rows.h (LayerCache)
// 3 head_dim a multiple of 8; padded with zeros to 64 or 128 in registers and shared memory; a bf16 cache, pages of a
// multiple of 16 positions
// 4 a block has one tile, one key head and one split of its positions; all heads of the group are rows of one matrix
// operand. Its four warps take 16 positions at a time in turn, each with a ring and a softmax of its own, and meet once
// 5 bytes of keys and values bind: 4 head_dim a position and key head in bf16
// 6 scores and sums in f32, weights in bf16 for the product with the values
// 7 own, after Flash-Decoding. What was cached in earlier steps is asked for before the kernels before this one have
// ended; how a sequence is split depends on the batch, so that this kernel is not for engine.reproducible
#include "backends/cuda/kernels/attention.h"
#include "backends/cuda/kernels/attention_parts.h"
#include "backends/cuda/kernels/language.h"

namespace cove::cuda {
namespace {

using namespace dev;

constexpr auto kKeys = static_cast<int>(kDecodeStepKeys);  // of a warp's step
constexpr int kStages = 3;
constexpr int kWarps = 4;
// [warp] values [rows][kDim], then {largest, total} of each row; in the memory of the rings.
template <int kDim>
struct WarpResult {
  float values[kDecodeRowsMax][kDim];
  float facts[kDecodeRowsMax][2];
};

// A warp's share of the positions [begin, end): kKeys at a time, every kWarps-th.
struct Share {
  int32_t begin;
  int32_t end;
  int32_t steps;

  __device__ __forceinline__ Share(int32_t split_begin, int32_t split_end)
      : begin(split_begin + static_cast<int32_t>(threadIdx.x / 32) * kKeys), end(split_end), steps(0) {
    if (begin < end) steps = (end - begin + kWarps * kKeys - 1) / (kWarps * kKeys);
  }
  __device__ __forceinline__ int32_t position(int32_t step) const { return begin + step * kWarps * kKeys; }
};

// Page of step first + lane, of the 32 steps that come next; any behind the share's end.
__device__ __forceinline__ int32_t load_pages(const AttentionLaunch& a, const Scope& s, const Share& share,
                                              int32_t first) {
  const int32_t step = first + lane();
  const int32_t position = share.position(step < share.steps ? step : 0);
  return a.page_table[s.slice.page_begin + position / static_cast<int32_t>(a.cache.page_tokens)];
}

// A step is inside one page. Positions behind the share's end are not read: they may be garbage.
template <int kDim>
__device__ __forceinline__ void load_step(const AttentionLaunch& a, const Scope& s, int32_t position, int32_t left,
                                          int32_t page, Stage<kDim, kKeys>& stage) {
  constexpr int kOctets = kDim / 8;
  const auto dim = static_cast<int32_t>(a.cache.head_dim);
  const auto page_tokens = static_cast<int32_t>(a.cache.page_tokens);
  const int64_t row = (page * a.cache.kv_heads + s.kv_head) * page_tokens + position % page_tokens;
  const int column = lane() % kOctets * 8;
  int key = lane() / kOctets;
  int64_t at = (row + key) * dim + column;
  const auto* keys = static_cast<const uint16_t*>(a.cache.keys);
  const auto* values = static_cast<const uint16_t*>(a.cache.values);
#pragma unroll 2
  for (; key < kKeys; key += 32 / kOctets, at += 32 / kOctets * dim) {
    const bool there = key < left && column < dim;
    copy_async(&stage.keys[key][column], keys + (there ? at : 0), there);
    copy_async(&stage.values[key][column], values + (there ? at : 0), there);
  }
}

template <int kDim>
__device__ __forceinline__ void leave_result(const Scope& s, const Running<kDim>& r, WarpResult<kDim>& to) {
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int row = lane() / 4 + 8 * half;
    if (row >= s.rows) continue;
#pragma unroll
    for (int n = 0; n < kDim / 8; ++n) {
      to.values[row][8 * n + lane() % 4 * 2] = r.values[n][2 * half];
      to.values[row][8 * n + lane() % 4 * 2 + 1] = r.values[n][2 * half + 1];
    }
    if (lane() % 4 == 0) {
      to.facts[row][0] = r.largest[half];
      to.facts[row][1] = r.total[half];
    }
  }
}

// The warps' results in their order: to the output, or to the workspace as a split's.
template <int kDim>
__device__ __forceinline__ void fold_warps(const AttentionLaunch& a, const Scope& s, const WarpResult<kDim>* results,
                                           bool is_split) {
  float* partial = partial_of(a, static_cast<int32_t>(blockIdx.x));
  for_pairs(a, s, [&](int32_t row, int32_t column) {
    float largest = kMinusInfinity;
    float total = 0;
    float first = 0;
    float second = 0;
#pragma unroll
    for (int warp = 0; warp < kWarps; ++warp) {
      const WarpResult<kDim>& result = results[warp];
      const Fold f = fold_of(largest, result.facts[row][0]);
      largest = f.largest;
      total = fold(f, total, result.facts[row][1]);
      first = fold(f, first, result.values[row][column]);
      second = fold(f, second, result.values[row][column + 1]);
    }
    if (!is_split) {
      const float inverse = 1.0F / total;
      store_pair(a, s, row, column, first * inverse, second * inverse);
      return;
    }
    float* values = partial + row * a.cache.head_dim + column;
    values[0] = first;
    values[1] = second;
    if (column == 0) {
      float* facts = partial + a.warps * 16 * a.cache.head_dim + 2 * row;
      facts[0] = largest;
      facts[1] = total;
    }
  });
}

// The queries of one token's heads as operands, zeros for rows and columns that do not exist.
template <int kDim>
__device__ __forceinline__ void load_heads(const AttentionLaunch& a, const Scope& s, uint32_t (&q)[kDim / 16][4]) {
  const auto dim = static_cast<int32_t>(a.cache.head_dim);
  const int64_t pitch = (a.heads + 2 * a.cache.kv_heads) * a.cache.head_dim;
  const auto* from = static_cast<const uint16_t*>(a.qkv) + s.tile.first_token * pitch +
                     (s.kv_head * s.group + lane() / 4) * dim + lane() % 4 * 2;
#pragma unroll
  for (int k = 0; k < kDim / 16; ++k) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int row = lane() / 4 + i % 2 * 8;
      const int column = 16 * k + i / 2 * 8;
      q[k][i] = 0;
      if (row < s.rows && column + lane() % 4 * 2 < dim) {
        q[k][i] = *reinterpret_cast<const uint32_t*>(from + i % 2 * 8 * dim + column);
      }
    }
  }
}

// grid: splits, key heads, tiles.
template <int kDim>
__global__ void __launch_bounds__(kWarps * 32) decode_attention_kernel(DecodeAttentionLaunch launched) {
  const AttentionLaunch& a = launched.attention;
  const Scope s = scope_of(a);
  const int32_t positions = s.positions;
  const auto split_keys = static_cast<int32_t>(launched.split_keys);
  const int32_t split_begin = static_cast<int32_t>(blockIdx.x) * split_keys;
  if (split_begin >= positions) return;  // launched for a longer sequence
  const int32_t split_end = split_begin + split_keys < positions ? split_begin + split_keys : positions;
  const Share share(split_begin, split_end);

  auto* stages = reinterpret_cast<Stage<kDim, kKeys>*>(shared_memory()) + threadIdx.x / 32 * kStages;
  const int32_t visible[2] = {share.end, share.end};
  const float scale = a.scale * kLog2e;
  uint32_t q[kDim / 16][4];
  Running<kDim> running;
  reset(running);
  int32_t pages = 0;
  bool waited = false;
  // Turn i asks for step i and computes step i - kStages + 1. Only the last position is written in this step: what lies
  // before it is asked for before the kernels before this one have ended.
#pragma unroll 1
  for (int32_t ask = 0; ask < share.steps + kStages - 1 || !waited; ++ask) {
    const int32_t position = share.position(ask);
    if (!waited && (ask == kStages - 1 || position + kKeys >= positions)) {
      let_next_kernel_start();
      wait_for_previous_kernel();
      load_heads<kDim>(a, s, q);
      waited = true;
    }
    if (ask < share.steps) {
      if (ask % 32 == 0) pages = load_pages(a, s, share, ask);
      load_step<kDim>(a, s, position, share.end - position, shuffle(pages, ask), stages[ask % kStages]);
    }
    copy_commit();
    const int32_t step = ask - kStages + 1;
    if (step < 0 || step >= share.steps) continue;
    copy_wait<kStages - 1>();
    warp_sync();  // all lanes' copies of this stage are there
    const Stage<kDim, kKeys>& stage = stages[step % kStages];
    float scores[kKeys / 8][4];
    score<kDim, kKeys>(stage, q, scores);
    weigh<kDim, kKeys>(visible, share.position(step), scale, scores, running);
    add_values<kDim, kKeys>(stage, scores, running);
    warp_sync();  // all lanes have read the stage that is asked for next
  }
  copy_wait<0>();
  block_sync();  // the rings' memory is free
  auto* results = reinterpret_cast<WarpResult<kDim>*>(shared_memory());
  leave_result<kDim>(s, running, results[threadIdx.x / 32]);
  block_sync();  // all warps' results are there
  const int32_t splits = (positions + split_keys - 1) / split_keys;
  fold_warps<kDim>(a, s, results, splits > 1);
  if (splits == 1) return;
  auto* flag = reinterpret_cast<unsigned*>(results + kWarps);
  unsigned* counter = a.counters + static_cast<int64_t>(blockIdx.z) * a.cache.kv_heads + blockIdx.y;
  if (is_last(counter, splits, flag)) fold_partials(a, s, splits);
}

template <int kDim>
const char* launch_as(const DecodeAttentionLaunch& args, void* stream) {
  constexpr size_t kRings = sizeof(Stage<kDim, kKeys>) * kStages * kWarps;
  constexpr size_t kResults = sizeof(WarpResult<kDim>) * kWarps + 16;
  const LaunchShape shape = {.grid_x = static_cast<unsigned>(args.attention.splits),
                             .grid_y = static_cast<unsigned>(args.attention.cache.kv_heads),
                             .grid_z = static_cast<unsigned>(args.attention.tile_count),
                             .threads = kWarps * 32,
                             .shared_bytes = kRings > kResults ? kRings : kResults};
  return launch(shape, stream, decode_attention_kernel<kDim>, args);
}

}  // namespace

const char* launch_decode_attention(const DecodeAttentionLaunch& args, void* stream) {
  if (args.attention.tile_count == 0) return nullptr;
  if (args.attention.tile_count > 65535) return "a step of more than 65535 attention tiles";
  if (args.attention.cache.head_dim <= 64) return launch_as<64>(args, stream);
  return launch_as<128>(args, stream);
}

}  // namespace cove::cuda
