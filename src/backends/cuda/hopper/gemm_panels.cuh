#pragma once
// out[t][n] = epilogue(sum_k x[t][k] w[n][k]) with weights of 4 or 8 bits that are never written as bf16: a warpgroup
// makes them the A operand in registers, tokens are the N side.
//
// Arrays: x [tokens][K] bf16, K-major, through a tensor map (boxes of kTokens rows by 128 bytes, 128-byte swizzle,
// zeros outside); weights in panels of 16 rows (plan/weight_layout.h) through a tensor map of 128-byte rows, eight a
// chunk (box: one chunk of all panels of a tile); f16 scales likewise, without swizzle; out [tokens][width], any pitch.
// Who: a block has 128 kTiles rows of weights by kTokens tokens at a time; warpgroup 0 issues copies, all stages ahead
// and the weights' before the kernel that makes x has ended; 1 and 2 have kTiles times 64 rows each. Up to 128 tokens
// blocks walk equal stretches of StreamSchedule, or a cluster has a tile and adds its parts in shared memory, as in
// gemm_stream.cuh; for more they walk TileSchedule (M: tokens, N: rows of weights).
//
// Bytes of a block of K = 128, 256 rows of 4 bits: 16.5 KB of weights and 256 kTokens of x, which every block reads out
// of L2. Cycles: 16 kTokens of tensor cores; each scheduler issues about 650 instructions to make A of 32 768 weights
// (128 pairs a lane; 256 of the instructions take two cycles), while memory takes 820 cycles for their bytes.
// Registers: while the tensor cores read one batch of A, the next is made in the other buffer. Four warpgroups of 64
// rows each were no faster than two with two tiles each.
//
// Sums: f32, along K in order; parts in the order of K. Source: own.

#include "backends/cuda/hopper/formats.cuh"
#include "backends/cuda/hopper/gemm_stream.cuh"
#include "backends/cuda/hopper/panel_values.cuh"
#include "backends/cuda/hopper/plan/panel_schedule.h"

namespace cove::cuda::hopper {

struct PanelParams {
  PanelSchedule schedule{};
  int32_t boxes = 0;  // outputs leave through out_map
  OutputParams output{};
  PartialSums partial{};
};

template <class FormatOf, int kTokensOf, int kTilesOf>
struct PanelShape {
  using Format = FormatOf;
  static constexpr int kTokens = kTokensOf;
  static constexpr int kTiles = kTilesOf;
  static constexpr uint32_t kPanelCount = kTiles * 8;
  static constexpr uint32_t kBytesW = kPanelCount * kPanelBytes;
  static constexpr uint32_t kBytesX = kTokens * Format::kBlockK * 2;
  static constexpr uint32_t kBytesScales = kPanelCount * Format::kScaleBytes;
  static constexpr uint32_t kCopiedBytes = kBytesW + kBytesX + kBytesScales;
  // Outputs of the largest tiles leave through shared memory: a box of 32 tokens by 64 outputs a warpgroup.
  static constexpr bool kBoxes = kTokens == 128 && kTiles == 2;
  static constexpr uint32_t kBoxBytes = kBoxes ? 32 * kRowBytes : 0;
  static constexpr uint32_t kStages = (220 * 1024 - 2 * kBoxBytes) / kCopiedBytes;
  static constexpr uint32_t kBarrierBytes = 2 * kStages * 8 + 8;  // and the mailbox of shared tiles
  static constexpr uint32_t kSharedBytes = kAtomBytes + kStages * kCopiedBytes + 2 * kBoxBytes + kBarrierBytes;
  // Batches of a stage: few registers where there are few, and at least two, so that they alternate between buffers.
  static constexpr int kParts = kTiles == 1 || (Format::kBits == 4 && kTokens == 128) ? 2 : 1;
  static constexpr int kSteps = Format::kBlockK / 16 / kParts;  // products of a batch
  using Sums = float[kTiles][kTokens / 2];
};

template <class Shape>
struct PanelMemory {
  uint32_t base;
  __device__ __forceinline__ uint32_t w(uint32_t stage) const { return base + stage * Shape::kBytesW; }
  __device__ __forceinline__ uint32_t x(uint32_t stage) const {
    return base + Shape::kStages * Shape::kBytesW + stage * Shape::kBytesX;
  }
  __device__ __forceinline__ uint32_t scales(uint32_t stage) const { return box(2) + stage * Shape::kBytesScales; }
  __device__ __forceinline__ uint32_t box(uint32_t warpgroup) const {
    return base + Shape::kStages * (Shape::kBytesW + Shape::kBytesX) + warpgroup * Shape::kBoxBytes;
  }
  __device__ __forceinline__ uint32_t full(uint32_t stage) const { return scales(Shape::kStages) + stage * 8; }
  __device__ __forceinline__ uint32_t empty(uint32_t stage) const { return full(stage) + Shape::kStages * 8; }
  __device__ __forceinline__ uint32_t mailbox() const { return full(2 * Shape::kStages); }
  // Sums of a finished stretch, over the ring: [register / 4][consumer][4].
  __device__ __forceinline__ uint32_t sums(int block) const {
    return base + (block * kConsumers + threadIdx.x - kWarpgroup) * 16;
  }
};

// The blocks of K that this thread block takes, in order.
class PanelCursor {
 public:
  __device__ __forceinline__ explicit PanelCursor(const PanelSchedule& schedule)
      : walk_(schedule, static_cast<int32_t>(blockIdx.x), static_cast<int32_t>(gridDim.x)) {
    open();
  }
  __device__ __forceinline__ bool more() const { return more_; }
  __device__ __forceinline__ const PanelUnit& unit() const { return unit_; }
  __device__ __forceinline__ int32_t k() const { return k_; }
  __device__ __forceinline__ void next() {
    if (++k_ == unit_.k_end) open();
  }

 private:
  __device__ __forceinline__ void open() {
    more_ = walk_.next(unit_);
    k_ = unit_.k_begin;
  }
  PanelWalk walk_;
  PanelUnit unit_{};
  int32_t k_ = 0;
  bool more_ = false;
};

struct PanelMaps {
  const TensorMap* x;
  const TensorMap* w;
  const TensorMap* scales;
};

// One thread.
template <class Shape>
__device__ __forceinline__ void produce_panels(const PanelMaps& maps, const PanelSchedule& schedule,
                                               PanelMemory<Shape> memory) {
  using Format = typename Shape::Format;
  const auto load_w = [&](uint32_t stage, const PanelCursor& at) {
    const uint32_t full = memory.full(stage);
    const int32_t panel = at.unit().row_tile * static_cast<int32_t>(Shape::kPanelCount);
    barrier_expect(full, Shape::kCopiedBytes);
    load_3d(memory.w(stage), maps.w, 0, at.k() * 8, panel, full, kKeepNormal);
    load_2d(memory.scales(stage), maps.scales, at.k() * (8 * Format::kScales), panel, full, kKeepNormal);
  };
  const auto load_x = [&](uint32_t stage, const PanelCursor& at) {
    COVE_UNROLL
    for (int box = 0; box < Format::kBlockK / 64; ++box) {
      load_2d(memory.x(stage) + box * Shape::kTokens * kRowBytes, maps.x, at.k() * Format::kBlockK + box * 64,
              at.unit().token_tile * Shape::kTokens, memory.full(stage), kKeepLong);
    }
  };
  PanelCursor w(schedule);
  uint32_t early = 0;  // weights are constant: their copies start before the previous kernel's end
  for (; early < Shape::kStages && w.more(); ++early, w.next()) load_w(early, w);
  wait_for_previous_kernel();
  PanelCursor x(schedule);
  for (uint32_t stage = 0; stage < early; ++stage, x.next()) load_x(stage, x);
  RingPlace place{0, 0};  // every stage has been filled once
  for (; w.more(); w.next()) {
    barrier_wait(memory.empty(place.stage), place.parity);
    load_w(place.stage, w);
    load_x(place.stage, w);
    place.template advance<Shape::kStages>();
  }
}

__device__ __forceinline__ void release_panels(uint32_t empty_barrier) {
  if (threadIdx.x % 32 == 0) barrier_arrive(empty_barrier);
}

// sums[tile] = this unit's part of the sums of 64 rows.
template <class Shape>
__device__ __forceinline__ void sum_panels(const PanelUnit& unit, PanelMemory<Shape> memory, const PanelLane& lane,
                                           RingPlace& ring, typename Shape::Sums& sums) {
  using Format = typename Shape::Format;
  const uint32_t first_panel = (threadIdx.x / kWarpgroup - 1) * (4 * Shape::kTiles) + threadIdx.x % kWarpgroup / 32;
  COVE_UNROLL
  for (int tile = 0; tile < Shape::kTiles; ++tile) {
    set_zero(sums[tile]);
    pin_all(sums[tile]);
  }
  uint32_t a[2][Shape::kSteps][4];
  uint32_t previous = 0;
  for (int32_t k = unit.k_begin; k < unit.k_end; ++k) {
    barrier_wait(memory.full(ring.stage), ring.parity);
    COVE_UNROLL
    for (int batch = 0; batch < Shape::kTiles * Shape::kParts; ++batch) {
      const int tile = batch / Shape::kParts;
      const int part = batch % Shape::kParts;
      const uint32_t panel = first_panel + 4 * tile;
      PanelPart<Format, Shape::kSteps> stored;
      stored.load(lane, memory.w(ring.stage) + panel * kPanelBytes,
                  memory.scales(ring.stage) + panel * Format::kScaleBytes, part);
      wgmma_wait<1>();  // of the batch before the last: its buffer is free
      if (batch == 1 && k > unit.k_begin) release_panels(memory.empty(previous));
      stored.expand(lane, a[batch % 2]);
      wgmma_begin();
      COVE_UNROLL
      for (int step = 0; step < Shape::kSteps; ++step) {
        const int of_stage = part * Shape::kSteps + step;
        const uint64_t b = k_major_descriptor(memory.x(ring.stage) + of_stage / 4 * (Shape::kTokens * kRowBytes));
        wgmma_bf16_a_k_major(sums[tile], a[batch % 2][step], b + of_stage % 4 * kNextStepK, 1);
      }
      wgmma_commit();
    }
    previous = ring.stage;
    ring.template advance<Shape::kStages>();
  }
  wgmma_wait<0>();
  release_panels(memory.empty(previous));
  COVE_UNROLL
  for (int tile = 0; tile < Shape::kTiles; ++tile) {
    pin_all(sums[tile]);
    COVE_UNROLL
    for (int i = 0; i < Shape::kTokens / 2; ++i) sums[tile][i] *= kPanelFactor;
  }
}

// Of the 64 rows that a warpgroup has as its tile `tile`.
template <class Shape>
__device__ __forceinline__ int32_t first_row(const PanelUnit& unit, int tile) {
  const auto warpgroup = static_cast<int32_t>(threadIdx.x / kWarpgroup) - 1;
  return ((unit.row_tile * 2 + warpgroup) * Shape::kTiles + tile) * 64;
}
template <class Shape>
__device__ __forceinline__ StreamRows<typename Shape::Format> panel_rows(const OutputParams& output,
                                                                         const PanelUnit& unit, int tile) {
  const Place place = accumulator_place(static_cast<int>(threadIdx.x % kWarpgroup), 0);
  return StreamRows<typename Shape::Format>(output, first_row<Shape>(unit, tile) + place.row);
}

template <class Shape>
__device__ __forceinline__ void store_panels(const OutputParams& output, const PanelUnit& unit,
                                             const typename Shape::Sums& sums) {
  const Place place = accumulator_place(static_cast<int>(threadIdx.x % kWarpgroup), 0);
  COVE_UNROLL
  for (int tile = 0; tile < Shape::kTiles; ++tile) {
    const auto rows = panel_rows<Shape>(output, unit, tile);
    COVE_UNROLL
    for (int block = 0; block < Shape::kTokens / 8; ++block) {
      const float of_block[4] = {sums[tile][4 * block], sums[tile][4 * block + 1], sums[tile][4 * block + 2],
                                 sums[tile][4 * block + 3]};
      rows.store(unit.token_tile * Shape::kTokens + block * 8 + place.column, of_block);
    }
  }
}

// Pairs of tokens of one output, finished: half 0 is row g, 1 is row g + 8; of a SwiGLU both become one.
struct FinishPairs {
  float bias[2];
  __device__ __forceinline__ uint32_t plain(const float* sums, int half) const {
    return pack_bf16(sums[2 * half] + bias[half], sums[2 * half + 1] + bias[half]);
  }
  __device__ __forceinline__ uint32_t gated(const float* sums) const {
    return pack_bf16(silu(sums[0] + bias[0]) * (sums[2] + bias[1]), silu(sums[1] + bias[0]) * (sums[3] + bias[1]));
  }
};

// The copy that used this warpgroup's box before has read it.
__device__ __forceinline__ void open_box() {
  if (threadIdx.x % kWarpgroup == 0) wait_stores_read<0>();
  sync_named(1 + threadIdx.x / kWarpgroup, kWarpgroup);
}
__device__ __forceinline__ void send_box(const TensorMap& out_map, const OutputParams& output, int32_t column,
                                         int32_t token, uint32_t box) {
  fence_async_shared();
  sync_named(1 + threadIdx.x / kWarpgroup, kWarpgroup);  // all of the box is written before it is copied
  if (threadIdx.x % kWarpgroup > 0) return;
  if (output.add != 0) {
    add_2d(&out_map, column, token, box);
  } else {
    store_2d(&out_map, column, token, box);
  }
}

// bf16 outputs by the copy engine, 32 tokens by 64 outputs a box; what lies outside is left out. Rows of memory are
// tokens, so the sums, whose rows are outputs, are transposed on their way into shared memory. The 32 activations of a
// tile's 64 rows of gate and up share a box with those of the next tile.
template <class Shape>
__device__ __forceinline__ void store_boxes(const TensorMap& out_map, const OutputParams& output, const PanelUnit& unit,
                                            PanelMemory<Shape> memory, const typename Shape::Sums& sums) {
  static_assert(Shape::kTiles == 2);
  const uint32_t lane = threadIdx.x % 32;
  const uint32_t warp = threadIdx.x % kWarpgroup / 32;
  const uint32_t box = memory.box(threadIdx.x / kWarpgroup - 1);
  const bool swiglu = output.swiglu != 0;
  COVE_UNROLL
  for (int part = 0; part < Shape::kTokens / 32; ++part) {
    const int32_t token = unit.token_tile * Shape::kTokens + part * 32;
    if (swiglu) open_box();
    COVE_UNROLL
    for (int tile = 0; tile < Shape::kTiles; ++tile) {
      const auto rows = panel_rows<Shape>(output, unit, tile);
      const FinishPairs finish{{rows.bias[0], rows.bias[1]}};
      const float* of = sums[tile] + part * 16;
      if (swiglu) {  // four blocks of eight tokens
        store_matrices_transposed(box + swizzled(lane, static_cast<uint32_t>(tile) * 64 + warp * 16), finish.gated(of),
                                  finish.gated(of + 4), finish.gated(of + 8), finish.gated(of + 12));
        continue;
      }
      open_box();
      COVE_UNROLL
      for (int i = 0; i < 2; ++i) {  // two blocks of eight tokens, rows g and g + 8
        const uint32_t row = static_cast<uint32_t>(i) * 16 + lane / 16 * 8 + lane % 8;
        store_matrices_transposed(box + swizzled(row, warp * 32 + lane / 8 % 2 * 16), finish.plain(of + 8 * i, 0),
                                  finish.plain(of + 8 * i, 1), finish.plain(of + 8 * i + 4, 0),
                                  finish.plain(of + 8 * i + 4, 1));
      }
      send_box(out_map, output, first_row<Shape>(unit, tile), token, box);
    }
    if (swiglu) send_box(out_map, output, first_row<Shape>(unit, 0) / 2, token, box);
  }
}

template <class Shape>
__device__ __forceinline__ void consume_panels(const TensorMap& out_map, const PanelParams& params,
                                               PanelMemory<Shape> memory) {
  constexpr int kRegisters = Shape::kTiles * Shape::kTokens / 2;
  const PanelLane lane = panel_lane<typename Shape::Format>();
  PanelWalk walk(params.schedule, static_cast<int32_t>(blockIdx.x), static_cast<int32_t>(gridDim.x));
  RingPlace ring;
  typename Shape::Sums sums;
  for (PanelUnit unit; walk.next(unit);) {
    sum_panels<Shape>(unit, memory, lane, ring, sums);
    if (unit.parts > 1) {
      const PartialTile parts{.sums = params.partial.sums,
                              .counter = params.partial.counters + unit.counter,
                              .mailbox = memory.mailbox(),
                              .first_slot = unit.first_slot,
                              .slot_step = unit.slot_step,
                              .own = unit.part,
                              .parts = unit.parts,
                              .first_part_shift = unit.first_part_shift};
      auto& all = reinterpret_cast<float(&)[kRegisters]>(sums);
      const bool added = unit.parts == 2 && add_other_part(parts, all);
      if (!added && !add_partial_sums(parts, all)) continue;
    }
    if constexpr (Shape::kBoxes) {
      if (params.boxes != 0) {
        store_boxes<Shape>(out_map, params.output, unit, memory, sums);
        continue;
      }
    }
    store_panels<Shape>(params.output, unit, sums);
  }
  if (Shape::kBoxes && threadIdx.x % kWarpgroup == 0) wait_stores();
}

// A cluster has a tile: this block's sums stay in its shared memory, where the ring was.
template <class Shape>
__device__ __forceinline__ PanelUnit leave_panels(const PanelParams& params, PanelMemory<Shape> memory) {
  constexpr int kBlocks = Shape::kTokens / 8;  // of a tile's registers
  static_assert(Shape::kTiles * kBlocks * kConsumers * 16 <= Shape::kStages * Shape::kCopiedBytes);
  PanelWalk walk(params.schedule, static_cast<int32_t>(blockIdx.x), static_cast<int32_t>(gridDim.x));
  PanelUnit unit;
  walk.next(unit);
  RingPlace ring;
  typename Shape::Sums sums;
  sum_panels<Shape>(unit, memory, panel_lane<typename Shape::Format>(), ring, sums);
  sync_named(1, kConsumers);  // both warpgroups are done with the ring
  COVE_UNROLL
  for (int block = 0; block < Shape::kTiles * kBlocks; ++block) {
    const auto bits = [&](int i) {
      return static_cast<uint32_t>(to_bits(sums[block / kBlocks][block % kBlocks * 4 + i]));
    };
    store_shared_16(memory.sums(block), make_uint4(bits(0), bits(1), bits(2), bits(3)));
  }
  return unit;
}

// After the cluster's barrier: this block's share of the tokens, summed over all parts.
template <class Shape>
__device__ __forceinline__ void add_panels(const PanelParams& params, const PanelUnit& unit,
                                           PanelMemory<Shape> memory) {
  constexpr int kBlocks = Shape::kTokens / 8;
  const int32_t parts = params.schedule.cluster_parts;
  const Place place = accumulator_place(static_cast<int>(threadIdx.x % kWarpgroup), 0);
  COVE_UNROLL
  for (int tile = 0; tile < Shape::kTiles; ++tile) {
    const auto rows = panel_rows<Shape>(params.output, unit, tile);
    for (auto block = static_cast<int32_t>(cluster_rank()); block < kBlocks; block += parts) {
      float total[4] = {};
      COVE_UNROLL
      for (int32_t part = 0; part < kPanelPartsMax; ++part) {
        if (part >= parts) continue;
        const uint4 bits = load_shared_16_at(memory.sums(tile * kBlocks + block), static_cast<uint32_t>(part));
        total[0] += from_bits(0.0F, static_cast<int32_t>(bits.x));
        total[1] += from_bits(0.0F, static_cast<int32_t>(bits.y));
        total[2] += from_bits(0.0F, static_cast<int32_t>(bits.z));
        total[3] += from_bits(0.0F, static_cast<int32_t>(bits.w));
      }
      rows.store(unit.token_tile * Shape::kTokens + block * 8 + place.column, total);
    }
  }
}

template <class Shape>
__global__ __launch_bounds__(kBlockThreads, 1) void gemm_panels_kernel(const __grid_constant__ TensorMap x_map,
                                                                       const __grid_constant__ TensorMap w_map,
                                                                       const __grid_constant__ TensorMap scale_map,
                                                                       const __grid_constant__ TensorMap out_map,
                                                                       const __grid_constant__ PanelParams params) {
  const PanelMemory<Shape> memory{(dynamic_shared() + kAtomBytes - 1) / kAtomBytes * kAtomBytes};
  if (threadIdx.x == 0) {
    prefetch_map(&w_map);
    prefetch_map(&scale_map);
    prefetch_map(&x_map);
    for (uint32_t stage = 0; stage < Shape::kStages; ++stage) {
      barrier_init(memory.full(stage), 1);
      barrier_init(memory.empty(stage), kConsumerWarps);
    }
    fence_barrier_init();
  }
  __syncthreads();
  let_next_kernel_start();
  const bool adds_in_cluster = params.schedule.cluster_parts > 1;
  if (threadIdx.x < kWarpgroup) {
    give_registers<56>();
    if (threadIdx.x == 0) produce_panels<Shape>({&x_map, &w_map, &scale_map}, params.schedule, memory);
    if (adds_in_cluster) {
      __syncwarp();    // the barrier takes whole warps; the producer's first thread comes late
      sync_cluster();  // every part is in its block's shared memory
      sync_cluster();  // a block stays while another may still read
    }
  } else {
    take_registers<224>();
    wait_for_previous_kernel();  // it may still read what this one writes
    if (adds_in_cluster) {
      const PanelUnit unit = leave_panels<Shape>(params, memory);
      sync_cluster();
      add_panels<Shape>(params, unit, memory);
      sync_cluster();
    } else {
      consume_panels<Shape>(out_map, params, memory);
    }
  }
}

}  // namespace cove::cuda::hopper
