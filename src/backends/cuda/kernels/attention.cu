// softmax(q k^T scale) v over a paged cache.
//
// 1 out[t][h] = sum_j p_j v_j / sum_j p_j, p_j = exp(scale q[t][h] k_j), j over the positions that token t sees
// 2 shapes: attention.h, rows.h (LayerCache)
// 3 head_dim a multiple of 8; padded with zeros to 64 or 128 in registers and shared memory
// 4 a block has one tile (consecutive tokens of one sequence) and one key head; a warp has 16 of its (token, head of
// the group) rows.
//   All warps bring 32 positions of keys and values at a time into a ring in shared memory
// 5 decoding: bytes of keys and values bind; long prompts: FLOPs, 4 head_dim per pair
// 6 scores and sums in f32, weights in bf16 for the product with the values
// 7 own, after FlashAttention-2 and Flash-Decoding. A split of 128 positions has its own running softmax; splits are
// folded in order, see
//   attention_plan.h: whether one block takes them all or each has a block, the arithmetic is the same
#include "backends/cuda/kernels/attention.h"

#include "backends/cuda/kernels/attention_parts.h"
#include "backends/cuda/kernels/language.h"

namespace cove::cuda {
namespace {

using namespace dev;

constexpr int kKeys = 32;  // of a stage
constexpr int kStages = 3;

// Positions [begin, begin + 32). What lies beyond the last visible one is never read: it may be garbage.
template <int kDim>
__device__ __forceinline__ void load_stage(const AttentionLaunch& a, const Scope& s, int32_t begin,
                                           Stage<kDim, kKeys>& stage) {
  constexpr int kOctets = kDim / 8;
  for (int i = static_cast<int>(threadIdx.x); i < kKeys * kOctets; i += static_cast<int>(blockDim.x)) {
    const int key = i / kOctets;
    const int column = i % kOctets * 8;
    const int32_t position = begin + key;
    const bool there = position < s.positions && column < a.cache.head_dim;
    int64_t row = 0;
    if (there) {
      // 32-bit divisions: 64-bit ones would cost more than the rest of this loop.
      const auto page_tokens = static_cast<uint32_t>(a.cache.page_tokens);
      const uint32_t in_table = static_cast<uint32_t>(position) / page_tokens;
      const uint32_t in_page = static_cast<uint32_t>(position) % page_tokens;
      const int64_t page = a.page_table[s.slice.page_begin + in_table];
      row = (page * a.cache.kv_heads + s.kv_head) * page_tokens + in_page;
    }
    bring_octet(a.cache, kKeySide, row, column, there, &stage.keys[key][column]);
    bring_octet(a.cache, kValueSide, row, column, there, &stage.values[key][column]);
  }
}

template <int kDim>
__device__ __forceinline__ void join(const Running<kDim>& split, Running<kDim>& all) {
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const Fold f = fold_of(all.largest[half], split.largest[half]);
    all.largest[half] = f.largest;
    all.total[half] = fold(f, all.total[half], split.total[half]);
#pragma unroll
    for (int n = 0; n < kDim / 8; ++n) {
#pragma unroll
      for (int i = 2 * half; i < 2 * half + 2; ++i) all.values[n][i] = fold(f, all.values[n][i], split.values[n][i]);
    }
  }
}

template <int kDim>
__device__ __forceinline__ void store_result(const AttentionLaunch& a, const Scope& s, int32_t first_row,
                                             const Running<kDim>& r) {
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int32_t row = first_row + lane() / 4 + 8 * half;
    if (row >= s.rows) continue;
    const float inverse = 1.0F / r.total[half];
#pragma unroll
    for (int n = 0; n < kDim / 8; ++n) {
      const int32_t column = 8 * n + lane() % 4 * 2;
      if (column < a.cache.head_dim)
        store_pair(a, s, row, column, r.values[n][2 * half] * inverse, r.values[n][2 * half + 1] * inverse);
    }
  }
}

template <int kDim>
__device__ __forceinline__ void store_partial(const AttentionLaunch& a, const Scope& s, int32_t split,
                                              int32_t first_row, const Running<kDim>& r) {
  float* values = partial_of(a, split);
  float* facts = values + a.warps * 16 * a.cache.head_dim;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int32_t row = first_row + lane() / 4 + 8 * half;
    if (row >= s.rows) continue;
#pragma unroll
    for (int n = 0; n < kDim / 8; ++n) {
      const int32_t column = 8 * n + lane() % 4 * 2;
      if (column >= a.cache.head_dim) continue;
      values[row * a.cache.head_dim + column] = r.values[n][2 * half];
      values[row * a.cache.head_dim + column + 1] = r.values[n][2 * half + 1];
    }
    if (lane() % 4 == 0) {
      facts[2 * row] = r.largest[half];
      facts[2 * row + 1] = r.total[half];
    }
  }
}

// grid: splits (or 1), key heads, tiles.
template <int kDim>
__global__ void __launch_bounds__(128) attention_kernel(AttentionLaunch a) {
  let_next_kernel_start();
  wait_for_previous_kernel();
  const Scope s = scope_of(a);
  constexpr auto kSplit = static_cast<int32_t>(kSplitKeys);
  const int32_t splits = (s.positions + kSplit - 1) / kSplit;
  const int32_t first_split = a.splits > 0 ? static_cast<int32_t>(blockIdx.x) : 0;
  if (first_split >= splits) return;  // launched for a longer sequence
  const int32_t end_split = a.splits > 0 ? first_split + 1 : splits;

  auto* stages = reinterpret_cast<Stage<kDim, kKeys>*>(shared_memory());
  const int32_t first_row = static_cast<int32_t>(threadIdx.x / 32) * 16;
  const bool has_rows = first_row < s.rows;
  uint32_t q[kDim / 16][4];
  load_queries<kDim>(a, s, first_row, q);
  const int32_t visible[2] = {position_of(s, first_row + lane() / 4) + 1,
                              position_of(s, first_row + lane() / 4 + 8) + 1};
  const float scale = a.scale * kLog2e;

  Running<kDim> all;
  Running<kDim> split;
  reset(all);
  reset(split);
  constexpr int32_t kSteps = kSplit / kKeys;  // of a split
  const int32_t first_step = first_split * kSteps;
  int32_t end_step = (s.positions + kKeys - 1) / kKeys;
  if (end_step > end_split * kSteps) end_step = end_split * kSteps;
  for (int i = 0; i < kStages - 1; ++i) {
    if (first_step + i < end_step) load_stage<kDim>(a, s, (first_step + i) * kKeys, stages[i]);
    copy_commit();
  }
  for (int32_t step = first_step; step < end_step; ++step) {
    copy_wait<kStages - 2>();
    block_sync();  // this stage is there for all; all are done with the one that is loaded next
    const int32_t next = step + kStages - 1;
    if (next < end_step) load_stage<kDim>(a, s, next * kKeys, stages[(next - first_step) % kStages]);
    copy_commit();
    if (has_rows) {
      const Stage<kDim, kKeys>& stage = stages[(step - first_step) % kStages];
      float scores[kKeys / 8][4];
      score<kDim, kKeys>(stage, q, scores);
      weigh<kDim, kKeys>(visible, step * kKeys, scale, scores, split);
      add_values<kDim, kKeys>(stage, scores, split);
    }
    if (a.splits == 0 && ((step + 1) % kSteps == 0 || step + 1 == end_step)) {
      join<kDim>(split, all);
      reset(split);
    }
  }
  copy_wait<0>();
  if (a.splits == 0) {
    if (has_rows) store_result<kDim>(a, s, first_row, all);
    return;
  }
  if (has_rows) store_partial<kDim>(a, s, first_split, first_row, split);
  auto* flag = reinterpret_cast<unsigned*>(stages);  // the barrier in is_last comes after all reads of the stages
  unsigned* counter = a.counters + static_cast<int64_t>(blockIdx.z) * a.cache.kv_heads + blockIdx.y;
  if (is_last(counter, splits, flag)) fold_partials(a, s, splits);
}

template <int kDim>
const char* launch_as(const AttentionLaunch& args, void* stream) {
  const LaunchShape shape = {.grid_x = static_cast<unsigned>(args.splits > 0 ? args.splits : 1),
                             .grid_y = static_cast<unsigned>(args.cache.kv_heads),
                             .grid_z = static_cast<unsigned>(args.tile_count),
                             .threads = static_cast<unsigned>(args.warps * 32),
                             .shared_bytes = kStages * sizeof(Stage<kDim, kKeys>)};
  return launch(shape, stream, attention_kernel<kDim>, args);
}

}  // namespace

const char* launch_attention(const AttentionLaunch& args, void* stream) {
  if (args.tile_count == 0) return nullptr;
  if (args.tile_count > 65535) return "a step of more than 65535 attention tiles";
  if (args.cache.head_dim <= 64) return launch_as<64>(args, stream);
  return launch_as<128>(args, stream);
}

}  // namespace cove::cuda
