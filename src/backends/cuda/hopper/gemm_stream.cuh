#pragma once
// out[t][n] = epilogue(sum_k x[t][k] w[n][k]) for few tokens (up to 128): the decode product. Weights are the M side of
// the tensor cores, 128 rows a block, tokens the N side, so that no tensor-core row is wasted and every weight is read
// from device memory once.
//
// Arrays: as in gemm_tiles.cuh; the tensor map of x has boxes of kTokens / kShare rows. Any row pitch of out.
// Who: kShare blocks of a cluster are a worker: each has 128 of the kShare * 128 rows of a tile, and fetches its part
// of x for all of them. Worker w walks stretch w of StreamSchedule. Warpgroup 0 issues copies, all stages ahead (about
// 200 KB in flight per multiprocessor, where 4.3 TB/s at 800 ns needs 26 KB); 1 and 2 own 64 rows each. The first
// stages' weights are asked for before the kernel that makes x has ended.
// Shared tiles: either the stretches are cut anywhere and parts are added through device memory (partial_sums.cuh), or
// (cluster_parts > 1) every tile has a cluster of its own, cluster_parts workers that add through each other's shared
// memory, each a share of the tokens.
// Bytes: the weights once; x once per kShare * 128 rows of weights, out of L2 (kTokens / 128 / kShare of the weights'
// bytes for equal element sizes); the parts of shared tiles, 2 x kTokens x 512 bytes a block. Operations: 2 kTokens a
// weight. Memory binds up to about 170 tokens in bf16.
// Sums: as in gemm_tiles.cuh; parts are added in the order of K.
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
  // Sums of a finished stretch, over the ring: [register / 4][consumer][4].
  __device__ __forceinline__ uint32_t sums(int block) const {
    return base + (block * kConsumers + threadIdx.x - kWarpgroup) * 16;
  }
};

// Where a block stands among the kShare that share x.
template <int kShare>
struct Sharer {
  int32_t worker;
  uint32_t index;       // of this block among the sharers
  uint32_t first_rank;  // in the cluster, of the first of them
};
template <int kShare>
__device__ __forceinline__ Sharer<kShare> sharer() {
  const auto worker = static_cast<int32_t>(blockIdx.x) / kShare;
  if constexpr (kShare == 1) return {worker, 0, 0};
  const uint32_t rank = cluster_rank();
  return {worker, rank % kShare, rank / kShare * kShare};
}

// This block's rows of the box of x, for all that share it.
template <int kTokens, int kShare>
__device__ __forceinline__ void load_shared_x(const TensorMap& x_map, StreamMemory<StreamShape<kTokens>> memory,
                                              uint32_t stage, int32_t at, const Sharer<kShare>& own) {
  if constexpr (kShare == 1) {
    load_2d(memory.x(stage), &x_map, at, 0, memory.full(stage), kKeepLong);
  } else {
    constexpr uint32_t kRows = kTokens / kShare;
    static_assert(kRows % 8 == 0, "a box begins at a multiple of 1024 bytes");
    const auto blocks = static_cast<uint16_t>(((1U << kShare) - 1) << own.first_rank);
    load_2d_multicast(memory.x(stage) + own.index * kRows * kRowBytes, &x_map, at,
                      static_cast<int32_t>(own.index * kRows), memory.full(stage), blocks, kKeepLong);
  }
}

// One thread. Unit u is block u % k_blocks of K of tile u / k_blocks.
template <class Format, int kTokens, int kShare>
__device__ __forceinline__ void produce_stream(const TensorMap& x_map, const TensorMap& w_map,
                                               const StreamSchedule& schedule,
                                               StreamMemory<StreamShape<kTokens>> memory) {
  using Shape = StreamShape<kTokens>;
  const Sharer<kShare> own = sharer<kShare>();
  const int64_t begin = schedule.begin(own.worker);
  const int64_t units = schedule.begin(own.worker + 1) - begin;
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
  const auto load_w = [&](uint32_t stage) {
    barrier_expect(memory.full(stage), Shape::kStageBytes);
    load_2d(memory.w(stage), &w_map, at_block * Format::kBlockK,
            (at_tile * kShare + static_cast<int32_t>(own.index)) * kTileRows, memory.full(stage), kKeepShort);
  };
  for (int32_t i = 0; i < early; ++i, next_unit()) load_w(i);
  wait_for_previous_kernel();
  at_tile = tile;
  at_block = block;
  for (int32_t i = 0; i < early; ++i, next_unit()) {
    load_shared_x<kTokens, kShare>(x_map, memory, i, at_block * Format::kBlockK, own);
  }
  RingPlace place{0, 0};  // every stage has been filled once
  for (int64_t i = early; i < units; ++i, next_unit()) {
    barrier_wait(memory.empty(place.stage), place.parity);
    load_w(place.stage);
    load_shared_x<kTokens, kShare>(x_map, memory, place.stage, at_block * Format::kBlockK, own);
    place.template advance<Shape::kStages>();
  }
}

// A stage has been read by this warp: tells every block that copies into it.
template <int kShare>
__device__ __forceinline__ void release_shared(uint32_t empty_barrier, const Sharer<kShare>& own) {
  const uint32_t lane = threadIdx.x % 32;
  if constexpr (kShare == 1) {
    if (lane == 0) barrier_arrive(empty_barrier);
  } else {
    if (lane < kShare) barrier_arrive_at(empty_barrier, own.first_rank + lane);
  }
}

// One bf16 output: stored, or added to what is there as if it had been stored first.
__device__ __forceinline__ void put_bf16(const OutputParams& output, uint16_t* at, float value) {
  const uint16_t rounded = to_bf16(value);
  *at = output.add != 0 ? to_bf16(from_bf16(*at) + from_bf16(rounded)) : rounded;
}

// Two rows of w of this thread, `feature` and `feature` + 8, and what turns their sums into outputs.
template <class Format>
struct StreamRows {
  const OutputParams* output;
  int32_t feature;
  float scale[2] = {1.0F, 1.0F};
  float bias[2] = {0.0F, 0.0F};

  __device__ __forceinline__ StreamRows(const OutputParams& params, int32_t row) : output(&params), feature(row) {
    COVE_UNROLL
    for (int half = 0; half < 2; ++half) {
      const int32_t n = feature + 8 * half;
      if (n >= output->weight_rows) continue;
      if constexpr (Format::kScaled) scale[half] = output->channel_scale[n];
      if (output->bias != nullptr) bias[half] = output->bias[n];
    }
  }

  // Finished sums of tokens `token` and the next. Features of a token lie side by side in eight lanes: 16 or 32 bytes a
  // store; outputs are few against the weights.
  __device__ __forceinline__ void store(int32_t token, const typename Format::Sum (&sums)[4]) const {
    COVE_UNROLL
    for (int odd = 0; odd < 2; ++odd) {
      if (token + odd >= output->rows) continue;
      const float row_scale = Format::kScaled ? output->row_scale[token + odd] : 1.0F;
      store_token(token + odd, static_cast<float>(sums[odd]) * (row_scale * scale[0]) + bias[0],
                  static_cast<float>(sums[2 + odd]) * (row_scale * scale[1]) + bias[1]);
    }
  }
  __device__ __forceinline__ void store_token(int32_t token, float first, float second) const {
    const int32_t width = output->width;
    const int64_t row = static_cast<int64_t>(token) * width;
    auto* out_bf16 = static_cast<uint16_t*>(output->out_bf16);
    if (output->swiglu != 0) {
      // gate in the rows 0..7 of 16, up in the rows 8..15: both are this thread's
      const int32_t gated = feature / 16 * 8 + feature % 8;
      if (gated < width) out_bf16[row + gated] = to_bf16(silu(first) * second);
    } else if (output->out_f32 != nullptr) {
      if (feature < width) output->out_f32[row + feature] = first;
      if (feature + 8 < width) output->out_f32[row + feature + 8] = second;
    } else {
      if (feature < width) put_bf16(*output, out_bf16 + row + feature, first);
      if (feature + 8 < width) put_bf16(*output, out_bf16 + row + feature + 8, second);
    }
  }
};

template <class Format, int kRegisters>
__device__ __forceinline__ void store_stream(const OutputParams& output, int32_t feature,
                                             const typename Format::Sum (&sums)[kRegisters]) {
  const StreamRows<Format> rows(output, feature);
  const Place place = accumulator_place(static_cast<int>(threadIdx.x % kWarpgroup), 0);
  COVE_UNROLL
  for (int block = 0; block < kRegisters / 4; ++block) {
    const typename Format::Sum of_block[4] = {sums[4 * block], sums[4 * block + 1], sums[4 * block + 2],
                                              sums[4 * block + 3]};
    rows.store(block * 8 + place.column, of_block);
  }
}

// sums = the part of a tile that lies in this worker's stretch, for this warpgroup's 64 rows.
template <class Format, int kTokens, int kShare, int kRegisters>
__device__ __forceinline__ void sum_stretch(const StreamUnit& unit, StreamMemory<StreamShape<kTokens>> memory,
                                            const Sharer<kShare>& own, RingPlace& ring,
                                            typename Format::Sum (&sums)[kRegisters]) {
  using Shape = StreamShape<kTokens>;
  const uint32_t rows_at = (threadIdx.x / kWarpgroup - 1) * 64 * kRowBytes;
  set_zero(sums);
  pin_all(sums);
  uint32_t previous = 0;
  for (int32_t k = unit.k_begin; k < unit.k_end; ++k) {
    barrier_wait(memory.full(ring.stage), ring.parity);
    const uint64_t a = k_major_descriptor(memory.w(ring.stage) + rows_at);
    const uint64_t b = k_major_descriptor(memory.x(ring.stage));
    if constexpr (Format::kPromotes) {
      add_block<Format>(sums, a, b);
      release_shared<kShare>(memory.empty(ring.stage), own);
    } else {
      start_block<Format>(sums, a, b);
      wgmma_wait<1>();  // the previous block's products are done with their operands
      if (k > unit.k_begin) release_shared<kShare>(memory.empty(previous), own);
      previous = ring.stage;
    }
    ring.template advance<Shape::kStages>();
  }
  if constexpr (!Format::kPromotes) {
    wgmma_wait<0>();
    pin_all(sums);
    release_shared<kShare>(memory.empty(previous), own);
  }
}

template <int kShare>
__device__ __forceinline__ int32_t first_feature(const StreamUnit& unit, const Sharer<kShare>& own) {
  const Place place = accumulator_place(static_cast<int>(threadIdx.x % kWarpgroup), 0);
  const uint32_t warpgroup = threadIdx.x / kWarpgroup - 1;
  return (unit.tile * kShare + static_cast<int32_t>(own.index)) * kTileRows + static_cast<int32_t>(warpgroup) * 64 +
         place.row;
}

template <class Format, int kTokens, int kShare>
__device__ __forceinline__ void consume_stream(const StreamParams& params, StreamMemory<StreamShape<kTokens>> memory) {
  const StreamSchedule& schedule = params.schedule;
  const Sharer<kShare> own = sharer<kShare>();
  const int64_t end = schedule.begin(own.worker + 1);
  RingPlace ring;
  typename Format::Sum sums[kTokens / 2];
  for (int64_t at = schedule.begin(own.worker); at < end;) {
    const StreamUnit unit = stream_unit(schedule, at, end);
    at += unit.k_end - unit.k_begin;
    sum_stretch<Format, kTokens, kShare>(unit, memory, own, ring, sums);
    if (unit.shared()) {
      const auto index = static_cast<int32_t>(own.index);
      const PartialTile parts{.sums = params.partial.sums,
                              .counter = params.partial.counters + unit.tile * kShare + index,
                              .mailbox = memory.mailbox(),
                              .first_slot = 2 * unit.first_worker * kShare + index,
                              .slot_step = 2 * kShare,
                              .own = own.worker - unit.first_worker,
                              .parts = unit.last_worker - unit.first_worker + 1,
                              .first_part_shift = kShare};
      if (!add_partial_sums(parts, sums)) continue;
    }
    store_stream<Format>(params.output, first_feature(unit, own), sums);
  }
}

// The stretch of a worker whose cluster has the whole tile: its sums stay in shared memory, where the ring was.
template <class Format, int kTokens, int kShare>
__device__ __forceinline__ void leave_part(const StreamParams& params, StreamMemory<StreamShape<kTokens>> memory) {
  static_assert(kTokens * kTileRows * 4 <= StreamShape<kTokens>::kStages * StreamShape<kTokens>::kStageBytes);
  const Sharer<kShare> own = sharer<kShare>();
  const int64_t end = params.schedule.begin(own.worker + 1);
  RingPlace ring;
  typename Format::Sum sums[kTokens / 2];
  sum_stretch<Format, kTokens, kShare>(stream_unit(params.schedule, params.schedule.begin(own.worker), end), memory,
                                       own, ring, sums);
  sync_named(1, kConsumers);  // both warpgroups are done with the ring
  COVE_UNROLL
  for (int block = 0; block < kTokens / 8; ++block) {
    const auto bits = [&](int i) { return static_cast<uint32_t>(to_bits(sums[4 * block + i])); };
    store_shared_16(memory.sums(block), make_uint4(bits(0), bits(1), bits(2), bits(3)));
  }
}

// After the cluster's barrier: this worker's share of the tokens, summed over all parts.
template <class Format, int kTokens, int kShare>
__device__ __forceinline__ void add_parts(const StreamParams& params, StreamMemory<StreamShape<kTokens>> memory) {
  using Sum = typename Format::Sum;
  const Sharer<kShare> own = sharer<kShare>();
  const int32_t parts = params.cluster_parts;
  const int64_t begin = params.schedule.begin(own.worker);
  const StreamRows<Format> rows(params.output, first_feature(stream_unit(params.schedule, begin, begin + 1), own));
  const Place place = accumulator_place(static_cast<int>(threadIdx.x % kWarpgroup), 0);
  for (int32_t block = own.worker % parts; block < kTokens / 8; block += parts) {
    uint4 bits[kClusterPartsMax] = {};
    COVE_UNROLL
    for (int32_t part = 0; part < kClusterPartsMax; ++part) {
      if (part < parts) bits[part] = load_shared_16_at(memory.sums(block), part * kShare + own.index);
    }
    Sum total[4] = {};
    COVE_UNROLL
    for (int32_t part = 0; part < kClusterPartsMax; ++part) {
      if (part >= parts) continue;
      total[0] += from_bits(Sum{}, static_cast<int32_t>(bits[part].x));
      total[1] += from_bits(Sum{}, static_cast<int32_t>(bits[part].y));
      total[2] += from_bits(Sum{}, static_cast<int32_t>(bits[part].z));
      total[3] += from_bits(Sum{}, static_cast<int32_t>(bits[part].w));
    }
    rows.store(block * 8 + place.column, total);
  }
}

template <class Format, int kTokens, int kShare>
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
      barrier_init(memory.empty(stage), kConsumerWarps * kShare);
    }
    fence_barrier_init();
  }
  if constexpr (kShare > 1) {
    sync_cluster();  // nobody copies into a block, or arrives there, before its barriers exist
  } else {
    __syncthreads();
  }
  let_next_kernel_start();
  const bool adds_in_cluster = params.cluster_parts > 1;
  const bool consumes = threadIdx.x >= kWarpgroup;
  if (!consumes) {
    if (threadIdx.x == 0) produce_stream<Format, kTokens, kShare>(x_map, w_map, params.schedule, memory);
  } else {
    wait_for_previous_kernel();  // it may still read what this one writes
    if (adds_in_cluster) {
      leave_part<Format, kTokens, kShare>(params, memory);
    } else {
      consume_stream<Format, kTokens, kShare>(params, memory);
    }
  }
  if (adds_in_cluster) {
    __syncwarp();    // the barrier takes whole warps; the producer's first thread comes late
    sync_cluster();  // every part is in its block's shared memory
    if (consumes) add_parts<Format, kTokens, kShare>(params, memory);
  }
  if (kShare > 1 || adds_in_cluster) {
    __syncwarp();
    sync_cluster();  // a block stays while another may still read, write or arrive here
  }
}

}  // namespace cove::cuda::hopper
