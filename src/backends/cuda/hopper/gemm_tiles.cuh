#pragma once
// out[r][n] = epilogue(sum_k x[r][k] w[n][k]) for many rows: the prefill product.
//
// Arrays: x [rows][K] and w [weight_rows][K], K-major, bf16, e4m3 or int8, read through tensor maps (boxes of 128 rows
// by 128 bytes, 128-byte swizzle, elements outside are zero); out [rows][width] bf16 through a tensor map (boxes of 64
// rows by 64 columns) or f32. Alignment: 16 bytes of every row, 8 columns of a bf16 output.
// Who: a block of three warpgroups, one per multiprocessor, walks TileSchedule. Warpgroup 0 issues copies; 1 and 2 own
// 64 rows x kBlockN columns each. Blocks of a cluster share their kBlockN rows of w: each fetches half, for both.
// Bytes and operations of a block of K (128 bytes a row), kBlockN = 256: 48 KB into shared memory, 32 KB of them out of
// L2 with a cluster of two, for 1 024 cycles of tensor cores: the tensor cores bind.
// Sums: f32 (int32 for int8), along K in order; e4m3 see formats.cuh; a split tile adds its parts in order.
// Source: own; the pattern (warp-specialised, persistent, multicast) is that of published sm_90 kernels.

#include <type_traits>

#include "backends/cuda/hopper/device.cuh"
#include "backends/cuda/hopper/formats.cuh"
#include "backends/cuda/hopper/gemm_params.h"
#include "backends/cuda/hopper/partial_sums.cuh"

namespace cove::cuda::hopper {

constexpr int kWarpgroup = 128;
constexpr int kConsumers = 2 * kWarpgroup;
constexpr int kBlockThreads = kWarpgroup + kConsumers;
constexpr int kConsumerWarps = kConsumers / 32;

template <int kBlockN, int kCluster>
struct TileShape {
  static constexpr uint32_t kBytesX = kTileRows * kRowBytes;
  static constexpr uint32_t kBytesW = kBlockN * kRowBytes;
  static constexpr uint32_t kStageBytes = kBytesX + kBytesW;
  static constexpr uint32_t kStages = kBlockN == 256 ? 4 : 6;
  static constexpr uint32_t kOutBox = 64 * kRowBytes;             // 64 rows of 64 bf16
  static constexpr uint32_t kOutBytes = 2 * 2 * kOutBox;          // two warpgroups, two buffers each
  static constexpr uint32_t kFactorBytes = 128 * 8;               // scales and biases of columns, for each warpgroup
  static constexpr uint32_t kBarrierBytes = 2 * kStages * 8 + 8;  // full and empty, and the mailbox of split tiles
  static constexpr uint32_t kSharedBytes =
      kAlignBytes + kStages * kStageBytes + kOutBytes + 2 * kFactorBytes + kBarrierBytes;
};

__device__ __forceinline__ uint32_t aligned_shared() {
  return (dynamic_shared() + kAlignBytes) / kAtomBytes * kAtomBytes;
}

// Addresses in shared memory.
template <class Shape>
struct TileMemory {
  uint32_t base;
  __device__ __forceinline__ uint32_t x(uint32_t stage) const { return base + stage * Shape::kStageBytes; }
  __device__ __forceinline__ uint32_t w(uint32_t stage) const { return x(stage) + Shape::kBytesX; }
  __device__ __forceinline__ uint32_t out(uint32_t warpgroup, uint32_t buffer) const {
    return base + Shape::kStages * Shape::kStageBytes + (warpgroup * 2 + buffer) * Shape::kOutBox;
  }
  __device__ __forceinline__ uint32_t factors(uint32_t warpgroup) const {
    return base + Shape::kStages * Shape::kStageBytes + Shape::kOutBytes + warpgroup * Shape::kFactorBytes;
  }
  __device__ __forceinline__ uint32_t full(uint32_t stage) const { return factors(2) + stage * 8; }
  __device__ __forceinline__ uint32_t empty(uint32_t stage) const { return full(stage) + Shape::kStages * 8; }
  __device__ __forceinline__ uint32_t mailbox() const { return full(2 * Shape::kStages); }
};

// One thread: fills the ring with every block of K of every unit.
template <class Format, int kBlockN, int kCluster>
__device__ __forceinline__ void produce_tiles(const TensorMap& x_map, const TensorMap& w_map,
                                              const TileSchedule& schedule,
                                              TileMemory<TileShape<kBlockN, kCluster>> memory) {
  using Shape = TileShape<kBlockN, kCluster>;
  const int32_t clusters = static_cast<int32_t>(gridDim.x) / kCluster;
  const int32_t rank = kCluster > 1 ? static_cast<int32_t>(cluster_rank()) : 0;
  RingPlace place{0, 1};
  for (int32_t u = static_cast<int32_t>(blockIdx.x) / kCluster; u < schedule.units(); u += clusters) {
    const TileUnit unit = tile_unit(schedule, u);
    const int32_t row = (unit.m * kCluster + rank) * kTileRows;
    const int32_t column = unit.n * kBlockN;
    for (int32_t k = unit.k_begin; k < unit.k_end; ++k) {
      const uint32_t full = memory.full(place.stage);
      barrier_wait(memory.empty(place.stage), place.parity);
      barrier_expect(full, Shape::kStageBytes);
      const int32_t at = k * Format::kBlockK;
      load_2d(memory.x(place.stage), &x_map, at, row, full, kKeepNormal);
      if constexpr (kCluster == 2) {
        static_assert(kBlockN == 256, "each of two blocks fetches 128 rows of w for both");
        load_2d_multicast(memory.w(place.stage) + rank * Shape::kBytesW / 2, &w_map, at, column + rank * 128, full, 3,
                          kKeepNormal);
      } else {
        COVE_UNROLL
        for (int part = 0; part < kBlockN / 128; ++part) {
          load_2d(memory.w(place.stage) + part * 128 * kRowBytes, &w_map, at, column + part * 128, full, kKeepNormal);
        }
      }
      place.template advance<Shape::kStages>();
    }
  }
}

// A stage has been read by this warp: tells every block that writes into it.
template <int kCluster>
__device__ __forceinline__ void release_stage(uint32_t empty_barrier) {
  const uint32_t lane = threadIdx.x % 32;
  if constexpr (kCluster == 1) {
    if (lane == 0) barrier_arrive(empty_barrier);
  } else {
    if (lane < kCluster) barrier_arrive_at(empty_barrier, lane);
  }
}

// Blocks of K until sums leave the tensor cores first; the second warpgroup is half an interval off, so that both do
// not add at once.
template <class Format>
__device__ __forceinline__ int32_t first_interval(uint32_t warpgroup) {
  if constexpr (Format::kPromotes) return warpgroup == 0 ? Format::kIntervalBlocks : Format::kIntervalBlocks / 2;
  return 0;
}

// sums = x w^T of one unit for this warpgroup's 64 rows.
template <class Format, int kBlockN, int kCluster, int kRegisters>
__device__ __forceinline__ void sum_unit(const TileUnit& unit, TileMemory<TileShape<kBlockN, kCluster>> memory,
                                         uint32_t warpgroup, RingPlace& place,
                                         typename Format::Sum (&sums)[kRegisters]) {
  using Shape = TileShape<kBlockN, kCluster>;
  set_zero(sums);
  pin_all(sums);
  const uint32_t rows_at = warpgroup * 64 * kRowBytes;
  std::conditional_t<Format::kPromotes, KeptSums<kRegisters>, NothingKept> kept;
  kept.set_zero();
  int32_t until_taken = first_interval<Format>(warpgroup);
  uint32_t previous = 0;
  bool running = false;  // products of the block before
  for (int32_t k = unit.k_begin; k < unit.k_end; ++k) {
    barrier_wait(memory.full(place.stage), place.parity);
    const uint64_t a = k_major_descriptor(memory.x(place.stage) + rows_at);
    const uint64_t b = k_major_descriptor(memory.w(place.stage));
    start_block<Format>(sums, a, b);
    wgmma_wait<1>();  // the previous block's products are done with their operands
    if (running) release_stage<kCluster>(memory.empty(previous));
    running = true;
    previous = place.stage;
    place.template advance<Shape::kStages>();
    if constexpr (Format::kPromotes) {
      if (--until_taken > 0) continue;
      until_taken = Format::kIntervalBlocks;
      wgmma_wait<0>();
      pin_all(sums);
      release_stage<kCluster>(memory.empty(previous));
      running = false;
      kept.take(sums);
      pin_all(sums);
    }
  }
  wgmma_wait<0>();
  pin_all(sums);
  if (running) release_stage<kCluster>(memory.empty(previous));
  if constexpr (Format::kPromotes) kept.add_to(sums);
}

// The factors of a tile's columns: loaded before its sums are computed, and read from shared memory when they are
// finished, a chunk of columns at a time.
template <class Format, int kBlockN>
struct ColumnFactors {
  static constexpr int kHeld = kBlockN / kWarpgroup;
  float scale[kHeld];
  float bias[kHeld];

  __device__ __forceinline__ ColumnFactors(const OutputParams& output, int32_t column) {
    COVE_UNROLL
    for (int i = 0; i < kHeld; ++i) {
      const int32_t n = column + i * kWarpgroup + static_cast<int32_t>(threadIdx.x % kWarpgroup);
      const bool inside = n < output.weight_rows;
      scale[i] = Format::kScaled && inside ? output.channel_scale[n] : 0.0F;
      bias[i] = inside && output.bias != nullptr ? output.bias[n] : 0.0F;
    }
  }
  // Columns chunk * kColumns and on: of each pair two scales, two biases. A barrier of the warpgroup must stand before
  // (the last chunk's have been read) and behind.
  template <int kColumns>
  __device__ __forceinline__ void publish(int chunk, uint32_t to) const {
    const uint32_t thread = threadIdx.x % kWarpgroup;
    if (kColumns == 64 && static_cast<int>(thread / 64) != chunk % 2) return;
    const uint32_t n = thread % kColumns;
    const int held = chunk * kColumns / kWarpgroup;
    const uint32_t at = to + n / 2 * 16 + n % 2 * 4;
    store_shared(at, __float_as_uint(scale[held]));
    store_shared(at + 8, __float_as_uint(bias[held]));
  }
};

// What a thread needs to turn its sums into outputs: the scales of its two rows and where those of its columns are.
template <class Format>
struct Finish {
  const OutputParams* output;
  float row_scale[2];
  uint32_t factors;  // in shared memory, of the thread's pair of columns in block 0 of a chunk

  // Registers 4 block + {0, 1} (row 0) and {2, 3} (row 1) as finished values, in chunks of so many blocks.
  template <int kChunkBlocks, int kRegisters>
  __device__ __forceinline__ void block(const typename Format::Sum (&sums)[kRegisters], int block,
                                        float (&value)[4]) const {
    COVE_UNROLL
    for (int i = 0; i < 4; ++i) value[i] = static_cast<float>(sums[4 * block + i]);
    const uint4 factor = load_shared_16(factors + block % kChunkBlocks * 4 * 16);
    COVE_UNROLL
    for (int i = 0; i < 4; ++i) {
      if constexpr (Format::kScaled) value[i] *= row_scale[i / 2] * __uint_as_float(i % 2 == 0 ? factor.x : factor.y);
      value[i] += __uint_as_float(i % 2 == 0 ? factor.z : factor.w);
    }
  }
};

__device__ __forceinline__ float silu(float x) { return __fdividef(x, 1.0F + __expf(-x)); }

// Eight output columns of 16 rows as the two registers of stmatrix: from one block of sums, or from a block of gates
// and the block of ups behind it.
template <class Format, bool kSwiGlu, int kRegisters>
__device__ __forceinline__ void output_block(const Finish<Format>& finish,
                                             const typename Format::Sum (&sums)[kRegisters], int out_block,
                                             float (&value)[4]) {
  if constexpr (kSwiGlu) {
    float gate[4];
    float up[4];
    finish.template block<16>(sums, 2 * out_block, gate);
    finish.template block<16>(sums, 2 * out_block + 1, up);
    COVE_UNROLL
    for (int i = 0; i < 4; ++i) value[i] = silu(gate[i]) * up[i];
  } else {
    finish.template block<8>(sums, out_block, value);
  }
}

// 64 rows x 64 columns at a time through shared memory and the copy engine, which leaves out what lies outside.
template <class Format, bool kSwiGlu, class Memory, int kRegisters>
__device__ __forceinline__ void store_bf16(const TensorMap& out_map, const Finish<Format>& finish,
                                           const ColumnFactors<Format, 2 * kRegisters>& factors, Memory memory,
                                           uint32_t warpgroup, int32_t row, int32_t column,
                                           const typename Format::Sum (&sums)[kRegisters]) {
  constexpr int kChunks = kRegisters / 32 / (kSwiGlu ? 2 : 1);
  const uint32_t thread = threadIdx.x % kWarpgroup;
  const MatrixRow stored = stored_row(thread);
  COVE_UNROLL
  for (int chunk = 0; chunk < kChunks; ++chunk) {
    const uint32_t buffer = memory.out(warpgroup, chunk % 2);
    if (thread == 0) wait_stores_read<kChunks == 1 ? 0 : 1>();  // the store that used this buffer has read it
    factors.template publish<kSwiGlu ? 128 : 64>(chunk, memory.factors(warpgroup));
    sync_named(2 + warpgroup, kWarpgroup);
    COVE_UNROLL
    for (int pair = 0; pair < 4; ++pair) {
      float low[4];
      float high[4];
      output_block<Format, kSwiGlu>(finish, sums, chunk * 8 + pair * 2, low);
      output_block<Format, kSwiGlu>(finish, sums, chunk * 8 + pair * 2 + 1, high);
      store_matrices(buffer + swizzled(stored.row, (pair * 2 + stored.block) * 16), pack_bf16(low[0], low[1]),
                     pack_bf16(low[2], low[3]), pack_bf16(high[0], high[1]), pack_bf16(high[2], high[3]));
    }
    fence_async_shared();
    sync_named(2 + warpgroup, kWarpgroup);  // all of the box is written before it is copied
    if (thread == 0) {
      if (finish.output->add != 0) {
        add_2d(&out_map, column + chunk * 64, row, buffer);
      } else {
        store_2d(&out_map, column + chunk * 64, row, buffer);
      }
    }
  }
}

template <class Format, class Memory, int kRegisters>
__device__ __forceinline__ void store_f32(const Finish<Format>& finish,
                                          const ColumnFactors<Format, 2 * kRegisters>& factors, Memory memory,
                                          uint32_t warpgroup, int32_t row, int32_t column,
                                          const typename Format::Sum (&sums)[kRegisters]) {
  const OutputParams& output = *finish.output;
  const Place place = accumulator_place(static_cast<int>(threadIdx.x % kWarpgroup), 0);
  const bool pairs = output.width % 2 == 0;
  COVE_UNROLL
  for (int block = 0; block < kRegisters / 4; ++block) {
    if (block % 16 == 0) {
      sync_named(2 + warpgroup, kWarpgroup);  // the factors before have been read
      factors.template publish<128>(block / 16, memory.factors(warpgroup));
      sync_named(2 + warpgroup, kWarpgroup);
    }
    float value[4];
    finish.template block<16>(sums, block, value);
    const int32_t n = column + block * 8 + place.column;
    COVE_UNROLL
    for (int half = 0; half < 2; ++half) {
      const int32_t r = row + place.row + 8 * half;
      if (r >= output.rows || n >= output.width) continue;
      float* to = output.out_f32 + static_cast<int64_t>(r) * output.width + n;
      if (pairs) {
        *reinterpret_cast<float2*>(to) = make_float2(value[2 * half], value[2 * half + 1]);
      } else {
        to[0] = value[2 * half];
        if (n + 1 < output.width) to[1] = value[2 * half + 1];
      }
    }
  }
}

template <class Format, int kBlockN, int kCluster>
__device__ __forceinline__ void consume_tiles(const TensorMap& out_map, const TileParams& params,
                                              TileMemory<TileShape<kBlockN, kCluster>> memory) {
  const TileSchedule& schedule = params.schedule;
  const OutputParams& output = params.output;
  const uint32_t warpgroup = threadIdx.x / kWarpgroup - 1;
  const int32_t clusters = static_cast<int32_t>(gridDim.x) / kCluster;
  const int32_t rank = kCluster > 1 ? static_cast<int32_t>(cluster_rank()) : 0;
  const Place place = accumulator_place(static_cast<int>(threadIdx.x % kWarpgroup), 0);
  RingPlace ring;
  typename Format::Sum sums[kBlockN / 2];
  for (int32_t u = static_cast<int32_t>(blockIdx.x) / kCluster; u < schedule.units(); u += clusters) {
    const TileUnit unit = tile_unit(schedule, u);
    const int32_t row = (unit.m * kCluster + rank) * kTileRows + static_cast<int32_t>(warpgroup) * 64;
    const int32_t column = unit.n * kBlockN;
    const ColumnFactors<Format, kBlockN> factors(output, column);
    Finish<Format> finish{&output, {0.0F, 0.0F}, memory.factors(warpgroup) + place.column / 2 * 16};
    if constexpr (Format::kScaled) {
      COVE_UNROLL
      for (int half = 0; half < 2; ++half) {
        const int32_t r = row + place.row + 8 * half;
        if (r < output.rows) finish.row_scale[half] = output.row_scale[r];
      }
    }
    sum_unit<Format, kBlockN, kCluster>(unit, memory, warpgroup, ring, sums);
    if (unit.split_tile >= 0) {
      const int32_t tile = unit.split_tile * kCluster + rank;
      const PartialTile parts{.sums = params.partial.sums,
                              .counter = params.partial.counters + tile,
                              .mailbox = memory.mailbox(),
                              .first_slot = tile * schedule.split,
                              .slot_step = 1,
                              .own = unit.part,
                              .parts = schedule.split};
      if (!add_partial_sums(parts, sums)) continue;
    }
    if (output.out_f32 != nullptr) {
      store_f32(finish, factors, memory, warpgroup, row, column, sums);
    } else if (output.swiglu != 0) {
      store_bf16<Format, true>(out_map, finish, factors, memory, warpgroup, row, column / 2, sums);
    } else {
      store_bf16<Format, false>(out_map, finish, factors, memory, warpgroup, row, column, sums);
    }
  }
  if (threadIdx.x % kWarpgroup == 0) wait_stores();
}

template <class Format, int kBlockN, int kCluster>
__global__ __launch_bounds__(kBlockThreads, 1) void gemm_tiles_kernel(const __grid_constant__ TensorMap x_map,
                                                                      const __grid_constant__ TensorMap w_map,
                                                                      const __grid_constant__ TensorMap out_map,
                                                                      const __grid_constant__ TileParams params) {
  using Shape = TileShape<kBlockN, kCluster>;
  const TileMemory<Shape> memory{aligned_shared()};
  if (threadIdx.x == 0) {
    for (uint32_t stage = 0; stage < Shape::kStages; ++stage) {
      barrier_init(memory.full(stage), 1);
      barrier_init(memory.empty(stage), kConsumerWarps * kCluster);
    }
    fence_barrier_init();
    prefetch_map(&x_map);
    prefetch_map(&w_map);
  }
  if constexpr (kCluster > 1) {
    sync_cluster();  // nobody copies into a block, or arrives there, before its barriers exist
  } else {
    __syncthreads();
  }
  let_next_kernel_start();
  wait_for_previous_kernel();
  if (threadIdx.x < kWarpgroup) {
    give_registers<40>();
    if (threadIdx.x == 0) produce_tiles<Format, kBlockN, kCluster>(x_map, w_map, params.schedule, memory);
  } else {
    take_registers<232>();
    consume_tiles<Format, kBlockN, kCluster>(out_map, params, memory);
  }
  if constexpr (kCluster > 1) {
    __syncwarp();    // the barrier takes whole warps; the producer's first thread comes late
    sync_cluster();  // a block stays while the other may still write or arrive here
  }
}

}  // namespace cove::cuda::hopper
