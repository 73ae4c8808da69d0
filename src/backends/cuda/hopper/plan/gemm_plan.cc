#include "backends/cuda/hopper/plan/gemm_plan.h"

#include <algorithm>
#include <array>

#include "base/check.h"

namespace cove::cuda::hopper {
namespace {

// What one multiprocessor of an H200 does in a cycle of about 1.7 GHz; from the ceilings of docs/kernels/hopper.md.
constexpr double kL2Bytes = 32.0;         // read into shared memory, every multiprocessor at once
constexpr double kMemoryBytesAll = 2500;  // 4.26 TB/s, all multiprocessors together
constexpr double kTensorShare256 = 0.85;  // of the tensor cores' peak that 64 x 256 wgmma with their waits reach
constexpr double kTensorShare128 = 0.75;  // 64 x 128 and narrower
constexpr double kUnitCycles = 2000.0;    // of a tile: filling the ring, epilogue
constexpr double kLaunchCycles = 4000.0;  // of a kernel: launch, barriers, the first bytes, the end
constexpr int64_t kSplitMax = 16;
constexpr int64_t kBlocksOfPartMin = 4;  // blocks of K that a part should have

int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

int64_t k_blocks_of(const GemmShape& shape) { return divide_up(shape.in * shape.element_bytes, kRowBytes); }

double memory_cycles(const GemmShape& shape) {
  const double weights = static_cast<double>(shape.weight_rows * shape.in * shape.element_bytes);
  const double x = static_cast<double>(shape.rows * shape.in * shape.element_bytes);
  return (weights + x) / kMemoryBytesAll;
}

struct TileKind {
  int64_t cluster = 1;
  int64_t block_n = 256;
  int64_t l2_bytes = 0;  // that a block reads for a block of K
  double tensor_share = 0;

  double block_cycles() const {
    const double tensor = static_cast<double>(block_n) * 4 / tensor_share;  // 128 x 256 x 128 bytes: 1 024
    return std::max(tensor, static_cast<double>(l2_bytes) / kL2Bytes);
  }
  int64_t slot_bytes() const { return kTileRows * block_n * 4; }
};

TileKind tile_kind(GemmKernel kernel) {
  constexpr int64_t kRows128 = 128 * kRowBytes;
  switch (kernel) {
    case GemmKernel::kTilesPair: return {2, 256, 2 * kRows128, kTensorShare256};
    case GemmKernel::kTiles256: return {1, 256, 3 * kRows128, kTensorShare256};
    default: return {1, 128, 2 * kRows128, kTensorShare128};
  }
}

// Cycles of the busiest cluster: its whole tiles, then its parts of split tiles and what adding parts costs.
double schedule_cycles(const TileSchedule& s, const TileKind& kind, int64_t clusters) {
  const double unit = static_cast<double>(s.k_blocks) * kind.block_cycles() + kUnitCycles;
  const int64_t whole = divide_up(s.full_tiles, clusters);
  if (s.split == 1) return static_cast<double>(divide_up(s.tiles(), clusters)) * unit;
  const int64_t parts = divide_up(static_cast<int64_t>(s.tiles() - s.full_tiles) * s.split, clusters);
  const double slot = static_cast<double>(kind.slot_bytes()) / kL2Bytes;
  const double part = static_cast<double>(divide_up(s.k_blocks, s.split)) * kind.block_cycles() + kUnitCycles + slot;
  return static_cast<double>(whole) * unit + static_cast<double>(parts) * part + static_cast<double>(s.split) * slot;
}

GemmPlan plan_tiles(GemmKernel kernel, const GemmShape& shape, int multiprocessors) {
  const TileKind kind = tile_kind(kernel);
  const int64_t clusters_max = multiprocessors / kind.cluster;
  GemmPlan best{.kernel = kernel};
  TileSchedule schedule;
  schedule.tiles_m = static_cast<int32_t>(divide_up(shape.rows, kTileRows * kind.cluster));
  schedule.tiles_n = static_cast<int32_t>(divide_up(shape.weight_rows, kind.block_n));
  schedule.k_blocks = static_cast<int32_t>(k_blocks_of(shape));
  schedule.raster = static_cast<int32_t>(16 / kind.cluster);
  const int64_t tiles = schedule.tiles();
  const int64_t waves = tiles / clusters_max;
  const auto consider = [&](int64_t full, int64_t split) {
    schedule.full_tiles = static_cast<int32_t>(full);
    schedule.split = static_cast<int32_t>(split);
    const int64_t counters = split > 1 ? (tiles - full) * kind.cluster : 0;
    const int64_t bytes = counters * split * kind.slot_bytes();
    if (counters > kCountersMax || bytes > kPartialBytesMax) return;
    const int64_t clusters = std::min<int64_t>(clusters_max, schedule.units());
    const double cycles = kLaunchCycles + std::max(schedule_cycles(schedule, kind, clusters), memory_cycles(shape));
    if (best.blocks > 0 && cycles >= best.cycles) return;
    best.blocks = static_cast<int32_t>(clusters * kind.cluster);
    best.tiles = schedule;
    best.partial_bytes = bytes;
    best.counters = counters;
    best.cycles = cycles;
  };
  consider(tiles, 1);
  const int64_t split_max = std::min<int64_t>(kSplitMax, schedule.k_blocks / kBlocksOfPartMin);
  for (int64_t split = 2; split <= split_max; ++split) {
    for (const int64_t full_waves : {waves, waves - 1}) {
      if (full_waves >= 0 && full_waves * clusters_max < tiles) consider(full_waves * clusters_max, split);
    }
  }
  return best;
}

std::optional<GemmPlan> plan_stream(const GemmShape& shape, int multiprocessors) {
  if (shape.rows > 128) return std::nullopt;
  GemmPlan plan{.kernel = GemmKernel::kStream};
  plan.token_tile = 16;
  while (plan.token_tile < shape.rows) plan.token_tile *= 2;
  StreamSchedule& s = plan.stream;
  s.tiles = static_cast<int32_t>(divide_up(shape.weight_rows, kTileRows));
  s.k_blocks = static_cast<int32_t>(k_blocks_of(shape));
  s.workers =
      static_cast<int32_t>(std::clamp<int64_t>(s.units() / kBlocksOfPartMin, 1, static_cast<int64_t>(multiprocessors)));
  const int64_t slot_bytes = int64_t{kTileRows} * plan.token_tile * 4;
  plan.blocks = s.workers;
  plan.counters = s.tiles;
  plan.partial_bytes = 2 * s.workers * slot_bytes;
  if (plan.counters > kCountersMax || plan.partial_bytes > kPartialBytesMax) return std::nullopt;
  const double units = static_cast<double>(divide_up(s.units(), s.workers));
  const double bytes = static_cast<double>(kTileRows + plan.token_tile) * kRowBytes;
  const double tensor = static_cast<double>(plan.token_tile) * 4 / kTensorShare128;
  const double parts = static_cast<double>(divide_up(s.workers, s.tiles) + 2);
  plan.cycles = kLaunchCycles + std::max(units * std::max(tensor, bytes / kL2Bytes), memory_cycles(shape)) +
                kUnitCycles + parts * static_cast<double>(slot_bytes) / kL2Bytes;
  return plan;
}

}  // namespace

std::optional<GemmPlan> plan_gemm_with(GemmKernel kernel, const GemmShape& shape, int multiprocessors) {
  COVE_CHECK(shape.rows >= 1 && shape.weight_rows >= 1 && shape.in >= 1 && multiprocessors >= 2);
  if (kernel == GemmKernel::kStream) return plan_stream(shape, multiprocessors);
  return plan_tiles(kernel, shape, multiprocessors);
}

GemmPlan plan_gemm(const GemmShape& shape, int multiprocessors) {
  if (shape.rows <= kTileRows / 2) {  // half of a tile's rows would be empty
    const std::optional<GemmPlan> stream = plan_stream(shape, multiprocessors);
    if (stream) return *stream;
  }
  GemmPlan best = *plan_gemm_with(GemmKernel::kTilesPair, shape, multiprocessors);
  for (const GemmKernel kernel : {GemmKernel::kTiles256, GemmKernel::kTiles128, GemmKernel::kStream}) {
    const std::optional<GemmPlan> plan = plan_gemm_with(kernel, shape, multiprocessors);
    if (plan && plan->cycles < best.cycles) best = *plan;
  }
  return best;
}

}  // namespace cove::cuda::hopper
