#pragma once
// out[t][n] = epilogue(sum_k x[t][k] w[n][k]) for few tokens (up to 128): the decode product. Weights are the M side of
// the tensor cores, 128 rows a block, tokens the N side, so that no tensor-core row is wasted and every weight is read
// from device memory once.
//
// Arrays: as in gemm_tiles.cuh; the tensor map of x has boxes of kTokens rows. Any row pitch of out.
// Who: one block per multiprocessor walks its equal stretch of StreamSchedule. Warpgroup 0 issues copies, all stages
// ahead (about 200 KB in flight per multiprocessor, where 4.3 TB/s at 800 ns needs 26 KB); 1 and 2 own 64 rows each.
// The first stages' weights are asked for before the kernel that makes x has ended.
// Bytes: the weights once; x once per 128 rows of weights, out of L2 (kTokens / 128 of the weights' bytes for equal
// element sizes); the parts of shared tiles, 2 x kTokens x 512 bytes a block. Operations: 2 kTokens a weight. Memory
// binds up to about 170 tokens in bf16.
// Sums: as in gemm_tiles.cuh; the order does not depend on the number of tokens.
// Source: own.

#include "backends/cuda/hopper/gemm_tiles.cuh"

namespace cove::cuda::hopper {

template <int kTokens>
struct StreamShape {
  static constexpr uint32_t kBytesW = kTileRows * kRowBytes;
  static constexpr uint32_t kBytesX = kTokens * kRowBytes;
  static constexpr uint32_t kStageBytes = kBytesW + kBytesX;
  static constexpr uint32_t kStages = (220 * 1024) / kStageBytes;
  static constexpr uint32_t kBarrierBytes = 2 * kStages * 8 + 8;  // and the mailbox of shared tiles
  static constexpr uint32_t kSharedBytes = kAtomBytes + kStages * kStageBytes + kBarrierBytes;
};

template <class Shape>
struct StreamMemory {
  uint32_t base;
  __device__ __forceinline__ uint32_t w(uint32_t stage) const { return base + stage * Shape::kStageBytes; }
  __device__ __forceinline__ uint32_t x(uint32_t stage) const { return w(stage) + Shape::kBytesW; }
  __device__ __forceinline__ uint32_t full(uint32_t stage) const {
    return base + Shape::kStages * Shape::kStageBytes + stage * 8;
  }
  __device__ __forceinline__ uint32_t empty(uint32_t stage) const { return full(stage) + Shape::kStages * 8; }
  __device__ __forceinline__ uint32_t mailbox() const { return full(2 * Shape::kStages); }
};

// One thread. Unit u is block u % k_blocks of K of tile u / k_blocks.
template <class Format, int kTokens>
__device__ __forceinline__ void produce_stream(const TensorMap& x_map, const TensorMap& w_map,
                                               const StreamSchedule& schedule,
                                               StreamMemory<StreamShape<kTokens>> memory) {
  using Shape = StreamShape<kTokens>;
  const auto worker = static_cast<int32_t>(blockIdx.x);
  const int64_t begin = schedule.begin(worker);
  const int64_t units = schedule.begin(worker + 1) - begin;
  const auto tile = static_cast<int32_t>(begin / schedule.k_blocks);
  const auto block = static_cast<int32_t>(begin % schedule.k_blocks);
  // Weights are constant: their copies start before the previous kernel's end.
  const int64_t early = units < Shape::kStages ? units : Shape::kStages;
  int32_t at_tile = tile;
  int32_t at_block = block;
  const auto next_unit = [&] {
    if (++at_block == schedule.k_blocks) {
      at_block = 0;
      ++at_tile;
    }
  };
  for (int32_t i = 0; i < early; ++i, next_unit()) {
    barrier_expect(memory.full(i), Shape::kStageBytes);
    load_2d(memory.w(i), &w_map, at_block * Format::kBlockK, at_tile * kTileRows, memory.full(i), kKeepShort);
  }
  wait_for_previous_kernel();
  at_tile = tile;
  at_block = block;
  for (int32_t i = 0; i < early; ++i, next_unit()) {
    load_2d(memory.x(i), &x_map, at_block * Format::kBlockK, 0, memory.full(i), kKeepLong);
  }
  RingPlace place{0, 0};  // every stage has been filled once
  for (int64_t i = early; i < units; ++i, next_unit()) {
    const uint32_t full = memory.full(place.stage);
    barrier_wait(memory.empty(place.stage), place.parity);
    barrier_expect(full, Shape::kStageBytes);
    load_2d(memory.w(place.stage), &w_map, at_block * Format::kBlockK, at_tile * kTileRows, full, kKeepShort);
    load_2d(memory.x(place.stage), &x_map, at_block * Format::kBlockK, 0, full, kKeepLong);
    place.template advance<Shape::kStages>();
  }
}

// Finished sums of 64 rows of w (this thread's: `feature` and `feature` + 8) for all tokens. Features of a token lie
// side by side in eight lanes: 16 or 32 bytes a store; outputs are few against the weights.
template <class Format, int kRegisters>
__device__ __forceinline__ void store_stream(const OutputParams& output, int32_t feature,
                                             const typename Format::Sum (&sums)[kRegisters]) {
  float scale[2] = {1.0F, 1.0F};
  float bias[2] = {0.0F, 0.0F};
  COVE_UNROLL
  for (int half = 0; half < 2; ++half) {
    const int32_t n = feature + 8 * half;
    if (n >= output.weight_rows) continue;
    if constexpr (Format::kScaled) scale[half] = output.channel_scale[n];
    if (output.bias != nullptr) bias[half] = output.bias[n];
  }
  auto* out_bf16 = static_cast<uint16_t*>(output.out_bf16);
  const Place place = accumulator_place(static_cast<int>(threadIdx.x % kWarpgroup), 0);
  // gate in the rows 0..7 of 16, up in the rows 8..15: both are this thread's
  const int32_t gated = feature / 16 * 8 + feature % 8;
  COVE_UNROLL
  for (int block = 0; block < kRegisters / 4; ++block) {
    COVE_UNROLL
    for (int odd = 0; odd < 2; ++odd) {
      const int32_t token = block * 8 + place.column + odd;
      if (token >= output.rows) continue;
      const float row_scale = Format::kScaled ? output.row_scale[token] : 1.0F;
      const float first = static_cast<float>(sums[4 * block + odd]) * (row_scale * scale[0]) + bias[0];
      const float second = static_cast<float>(sums[4 * block + 2 + odd]) * (row_scale * scale[1]) + bias[1];
      const int64_t row = static_cast<int64_t>(token) * output.width;
      if (output.swiglu != 0) {
        if (gated < output.width) out_bf16[row + gated] = to_bf16(silu(first) * second);
      } else if (output.out_f32 != nullptr) {
        if (feature < output.width) output.out_f32[row + feature] = first;
        if (feature + 8 < output.width) output.out_f32[row + feature + 8] = second;
      } else {
        if (feature < output.width) out_bf16[row + feature] = to_bf16(first);
        if (feature + 8 < output.width) out_bf16[row + feature + 8] = to_bf16(second);
      }
    }
  }
}

template <class Format, int kTokens>
__device__ __forceinline__ void consume_stream(const StreamParams& params, StreamMemory<StreamShape<kTokens>> memory) {
  using Shape = StreamShape<kTokens>;
  const StreamSchedule& schedule = params.schedule;
  const uint32_t warpgroup = threadIdx.x / kWarpgroup - 1;
  const Place place = accumulator_place(static_cast<int>(threadIdx.x % kWarpgroup), 0);
  const auto worker = static_cast<int32_t>(blockIdx.x);
  const int64_t end = schedule.begin(worker + 1);
  wait_for_previous_kernel();  // it may still read what this one writes
  RingPlace ring;
  typename Format::Sum sums[kTokens / 2];
  for (int64_t at = schedule.begin(worker); at < end;) {
    const StreamUnit unit = stream_unit(schedule, at, end);
    at += unit.k_end - unit.k_begin;
    set_zero(sums);
    pin_all(sums);
    uint32_t previous = 0;
    for (int32_t k = unit.k_begin; k < unit.k_end; ++k) {
      barrier_wait(memory.full(ring.stage), ring.parity);
      const uint64_t a = k_major_descriptor(memory.w(ring.stage) + warpgroup * 64 * kRowBytes);
      const uint64_t b = k_major_descriptor(memory.x(ring.stage));
      if constexpr (Format::kPromotes) {
        add_block<Format, kTokens>(sums, a, b);
        release_stage<1>(memory.empty(ring.stage));
      } else {
        start_block<Format>(sums, a, b);
        wgmma_wait<1>();  // the previous block's products are done with their operands
        if (k > unit.k_begin) release_stage<1>(memory.empty(previous));
        previous = ring.stage;
      }
      ring.template advance<Shape::kStages>();
    }
    if constexpr (!Format::kPromotes) {
      wgmma_wait<0>();
      pin_all(sums);
      release_stage<1>(memory.empty(previous));
    }
    if (unit.shared()) {
      const PartialTile parts{.sums = params.partial.sums,
                              .counter = params.partial.counters + unit.tile,
                              .mailbox = memory.mailbox(),
                              .first_slot = 2 * unit.first_worker,
                              .slot_step = 2,
                              .own = worker - unit.first_worker,
                              .parts = unit.last_worker - unit.first_worker + 1,
                              .first_part_shift = 1};
      if (!add_partial_sums(parts, sums)) continue;
    }
    store_stream<Format>(params.output, unit.tile * kTileRows + static_cast<int32_t>(warpgroup) * 64 + place.row, sums);
  }
}

template <class Format, int kTokens>
__global__ __launch_bounds__(kBlockThreads, 1) void gemm_stream_kernel(const __grid_constant__ TensorMap x_map,
                                                                       const __grid_constant__ TensorMap w_map,
                                                                       const __grid_constant__ StreamParams params) {
  using Shape = StreamShape<kTokens>;
  const StreamMemory<Shape> memory{(dynamic_shared() + kAtomBytes - 1) / kAtomBytes * kAtomBytes};
  if (threadIdx.x == 0) {
    prefetch_map(&w_map);
    prefetch_map(&x_map);
    for (uint32_t stage = 0; stage < Shape::kStages; ++stage) {
      barrier_init(memory.full(stage), 1);
      barrier_init(memory.empty(stage), kConsumerWarps);
    }
    fence_barrier_init();
  }
  __syncthreads();
  let_next_kernel_start();
  if (threadIdx.x < kWarpgroup) {
    if (threadIdx.x == 0) produce_stream<Format, kTokens>(x_map, w_map, params.schedule, memory);
  } else {
    consume_stream<Format, kTokens>(params, memory);
  }
}

}  // namespace cove::cuda::hopper
