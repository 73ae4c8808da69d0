// softmax(q k^T scale) v over a paged cache, for sequences that add one token.
//
// 1 as in attention.cu, with one token a tile          2 shapes: attention.h, rows.h (LayerCache)
// 3 head_dim a multiple of 8; padded with zeros to 64 or 128 in registers and shared memory
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

constexpr int kKeys = 16;  // of a warp's step
constexpr int kStages = 3;
constexpr int kWarps = 4;
constexpr int kPagesHeld = 32;  // page numbers of the next steps, one a lane

// [warp] values [rows][kDim], then {largest, total} of each row; in the memory of the rings.
template <int kDim>
struct WarpResult {
  float values[kDecodeRowsMax][kDim];
  float facts[kDecodeRowsMax][2];
};

// A warp's share of the positions [begin, end): kKeys at a time, every kWarps-th.
struct Share {
  int64_t begin;
  int64_t end;
  int64_t steps;

  __device__ __forceinline__ Share(int64_t split_begin, int64_t split_end)
      : begin(split_begin + static_cast<int64_t>(threadIdx.x / 32) * kKeys), end(split_end), steps(0) {
    if (begin < end) steps = (end - begin + kWarps * kKeys - 1) / (kWarps * kKeys);
  }
  __device__ __forceinline__ int64_t position(int64_t step) const { return begin + step * kWarps * kKeys; }
};

// Pages of the steps first .. first + 31, one a lane; 0 behind the share's end.
__device__ __forceinline__ int32_t load_pages(const AttentionLaunch& a, const Scope& s, const Share& share,
                                              int64_t first) {
  const int64_t step = first + lane();
  if (step >= share.steps) return 0;
  return a.page_table[s.slice.page_begin + share.position(step) / a.cache.page_tokens];
}

// Where key `key` of a step lies in a side of the cache. A step is inside one page where pages are multiples of it.
__device__ __forceinline__ int64_t row_of(const AttentionLaunch& a, const Scope& s, int64_t position, int32_t page) {
  const auto page_tokens = static_cast<uint32_t>(a.cache.page_tokens);
  const uint32_t in_page = static_cast<uint32_t>(position) % page_tokens;
  return (page * a.cache.kv_heads + s.kv_head) * page_tokens + in_page;
}

template <int kDim>
__device__ __forceinline__ void load_step(const AttentionLaunch& a, const Scope& s, const Share& share, int64_t step,
                                          int32_t page, Stage<kDim, kKeys>& stage) {
  constexpr int kOctets = kDim / 8;
  const int64_t begin = share.position(step);
  const bool one_page = a.cache.page_tokens % kKeys == 0;
  const int64_t first_row = row_of(a, s, begin, page);
#pragma unroll
  for (int i = 0; i < kKeys * kOctets / 32; ++i) {
    const int key = (i * 32 + lane()) / kOctets;
    const int column = (i * 32 + lane()) % kOctets * 8;
    const int64_t position = begin + key;
    const bool there = position < share.end && column < a.cache.head_dim;
    int64_t row = first_row + key;
    if (!one_page && there) {
      row = row_of(a, s, position, a.page_table[s.slice.page_begin + position / a.cache.page_tokens]);
    }
    const int64_t at = row * a.cache.head_dim + column;
    bring_octet(a.cache, a.cache.keys, at, there, &stage.keys[key][column]);
    bring_octet(a.cache, a.cache.values, at, there, &stage.values[key][column]);
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

// The warps' results in their order, a pair of values a thread: to the output, or to the workspace as a split's.
template <int kDim>
__device__ __forceinline__ void fold_warps(const AttentionLaunch& a, const Scope& s, const WarpResult<kDim>* results,
                                           int64_t splits) {
  const int64_t pairs = a.cache.head_dim / 2;
  float* partial = splits > 1 ? partial_of(a, s.rows, blockIdx.x) : nullptr;
  for (int64_t i = threadIdx.x; i < s.rows * pairs; i += blockDim.x) {
    const int64_t row = i / pairs;
    const int64_t column = i % pairs * 2;
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
    if (partial == nullptr) {
      const float inverse = 1.0F / total;
      store_pair(a, s, row, column, first * inverse, second * inverse);
      continue;
    }
    partial[row * a.cache.head_dim + column] = first;
    partial[row * a.cache.head_dim + column + 1] = second;
    if (column == 0) {
      float* facts = partial + a.warps * 16 * a.cache.head_dim + 2 * row;
      facts[0] = largest;
      facts[1] = total;
    }
  }
}

// grid: splits, key heads, tiles.
template <int kDim>
__global__ void __launch_bounds__(kWarps * 32) decode_attention_kernel(DecodeAttentionLaunch launched) {
  const AttentionLaunch& a = launched.attention;
  const Scope s = scope_of(a);
  const int64_t split_begin = static_cast<int64_t>(blockIdx.x) * launched.split_keys;
  if (split_begin >= s.positions) return;  // launched for a longer sequence
  const int64_t splits = (s.positions + launched.split_keys - 1) / launched.split_keys;
  const int64_t split_end = split_begin + launched.split_keys;
  const Share share(split_begin, split_end < s.positions ? split_end : s.positions);

  auto* stages = reinterpret_cast<Stage<kDim, kKeys>*>(shared_memory()) + threadIdx.x / 32 * kStages;
  int32_t pages = load_pages(a, s, share, 0);
  const auto ask = [&](int64_t step) {
    if (step < share.steps) {
      if (step > 0 && step % kPagesHeld == 0) pages = load_pages(a, s, share, step);
      load_step<kDim>(a, s, share, step, shuffle(pages, static_cast<int>(step % kPagesHeld)), stages[step % kStages]);
    }
    copy_commit();
  };
  // Only the last position is written in this step.
  int64_t asked = 0;
  while (asked < kStages && asked < share.steps && share.position(asked) + kKeys < s.positions) ask(asked++);
  let_next_kernel_start();
  wait_for_previous_kernel();
  while (asked < kStages) ask(asked++);

  uint32_t q[kDim / 16][4];
  load_queries<kDim>(a, s, 0, q);
  const int64_t visible[2] = {share.end, share.end};
  const float scale = a.scale * kLog2e;
  Running<kDim> running;
  reset(running);
  for (int64_t step = 0; step < share.steps; ++step) {
    copy_wait<kStages - 1>();
    warp_sync();  // all lanes' copies of this stage are there
    const Stage<kDim, kKeys>& stage = stages[step % kStages];
    float scores[kKeys / 8][4];
    score<kDim, kKeys>(stage, q, scores);
    weigh<kDim, kKeys>(visible, share.position(step), scale, scores, running);
    add_values<kDim, kKeys>(stage, scores, running);
    warp_sync();  // all lanes have read the stage that is asked for next
    ask(step + kStages);
  }
  copy_wait<0>();
  block_sync();  // the rings' memory is free
  auto* results = reinterpret_cast<WarpResult<kDim>*>(shared_memory());
  leave_result<kDim>(s, running, results[threadIdx.x / 32]);
  block_sync();  // all warps' results are there
  fold_warps<kDim>(a, s, results, splits);
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
