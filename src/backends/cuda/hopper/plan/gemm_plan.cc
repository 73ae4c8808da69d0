#include "backends/cuda/hopper/plan/gemm_plan.h"

#include <algorithm>
#include <array>

#include "base/check.h"

namespace cove::cuda::hopper {
namespace {

// What one multiprocessor of an H200 does in a cycle of about 1.7 GHz; measured, see docs/kernels/hopper.md.
constexpr double kL2BytesAll = 3430;             // read into shared memory, all multiprocessors together: 5.8 TB/s
constexpr double kL2BytesMax = 40.0;             // by one of them
constexpr double kMemoryBytesAll = 2650;         // 4.5 TB/s, all multiprocessors together
constexpr double kTensorShare256 = 0.85;         // of the tensor cores' peak that 64 x 256 wgmma with their waits reach
constexpr double kTensorShare128 = 0.75;         // 64 x 128 and narrower
constexpr double kUnitCycles = 2000.0;           // of a tile: filling the ring, epilogue
constexpr double kLaunchCycles = 6000.0;         // of a kernel: launch, barriers, the first bytes, the end
constexpr double kAddBytes = 64.0;               // read by the few blocks that add parts
constexpr double kShareCycles = 2000.0;          // a part's way through device memory: fences and the count
constexpr double kClusterCycles = 1500.0;        // through shared memory: two barriers of a cluster
constexpr double kPeerBytes = 20.0;              // read out of other blocks' shared memory
constexpr double kPairCycles = 300.0;            // two blocks begin and end together
constexpr int64_t kMultiprocessorsOfGroup = 16;  // a cluster's blocks lie in one group (GPC)
constexpr int64_t kSplitMax = 16;
constexpr int64_t kBlocksOfPartMin = 4;  // blocks of K that a part should have

int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

int64_t k_blocks_of(const GemmShape& shape) { return divide_up(shape.in * shape.element_bytes, kRowBytes); }

// Bytes a cycle into the shared memory of one of `blocks`.
double l2_bytes(int64_t blocks) { return std::min(kL2BytesMax, kL2BytesAll / static_cast<double>(blocks)); }

double memory_cycles(const GemmShape& shape) {
  const double weights = static_cast<double>(shape.weight_rows * shape.in * shape.element_bytes);
  const double x = static_cast<double>(shape.rows * shape.in * shape.element_bytes);
  return (weights + x) / kMemoryBytesAll;
}

struct TileKind {
  int64_t cluster = 1;
  int64_t block_n = 256;
  int64_t bytes = 0;  // that a block reads out of L2 for a block of K
  double tensor_share = 0;

  double block_cycles(int64_t blocks) const {
    const double tensor = static_cast<double>(block_n) * 4 / tensor_share;  // 128 x 256 x 128 bytes: 1 024
    return std::max(tensor, static_cast<double>(bytes) / l2_bytes(blocks));
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
  const int64_t blocks = clusters * kind.cluster;
  const double block_cycles = kind.block_cycles(blocks);
  const double unit = static_cast<double>(s.k_blocks) * block_cycles + kUnitCycles;
  const int64_t whole = divide_up(s.full_tiles, clusters);
  if (s.split == 1) return static_cast<double>(divide_up(s.tiles(), clusters)) * unit;
  const int64_t parts = divide_up(static_cast<int64_t>(s.tiles() - s.full_tiles) * s.split, clusters);
  const auto slot = static_cast<double>(kind.slot_bytes());
  const double part =
      static_cast<double>(divide_up(s.k_blocks, s.split)) * block_cycles + kUnitCycles + slot / l2_bytes(blocks);
  return static_cast<double>(whole) * unit + static_cast<double>(parts) * part +
         static_cast<double>(s.split) * slot / kAddBytes;
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

// A stream of `share` * 128 rows of weights a tile; workers are the caller's to choose.
GemmPlan stream_of(GemmKernel kernel, const GemmShape& shape, int32_t share) {
  GemmPlan plan{.kernel = kernel, .token_tile = 16, .share = share};
  while (plan.token_tile < shape.rows) plan.token_tile *= 2;
  plan.stream.tiles = static_cast<int32_t>(divide_up(shape.weight_rows, int64_t{kTileRows} * share));
  plan.stream.k_blocks = static_cast<int32_t>(k_blocks_of(shape));
  return plan;
}

// Cycles of the longest stretch with its launch, before parts are added.
double stretch_cycles(const GemmPlan& plan, const GemmShape& shape) {
  const double units = static_cast<double>(divide_up(plan.stream.units(), plan.stream.workers));
  const double bytes = (kTileRows + static_cast<double>(plan.token_tile) / plan.share) * kRowBytes;
  const double tensor = static_cast<double>(plan.token_tile) * 4 / kTensorShare128;
  return kLaunchCycles + kUnitCycles + kPairCycles * (plan.share - 1) +
         std::max(units * std::max(tensor, bytes / l2_bytes(plan.blocks)), memory_cycles(shape));
}

// Clusters of `blocks` blocks that surely run together: one too many waits for all others. An H200 takes 39 of 3, 30 of
// 4, 17 of 6 and 15 of 8 blocks (tests/gpu/hopper_check): some of its groups have fewer multiprocessors than 16.
int64_t clusters_at_once(int64_t blocks, int multiprocessors) {
  const int64_t in_groups = multiprocessors / kMultiprocessorsOfGroup * (kMultiprocessorsOfGroup / blocks);
  return std::min<int64_t>(in_groups, int64_t{multiprocessors} * 9 / 10 / blocks);
}

double stream_slot_bytes(const GemmPlan& plan) { return static_cast<double>(kTileRows) * plan.token_tile * 4; }

// Stretches cut anywhere, parts through device memory.
std::optional<GemmPlan> plan_stream(GemmKernel kernel, const GemmShape& shape, int multiprocessors) {
  const int32_t share = kernel == GemmKernel::kStreamPair ? 2 : 1;
  const int64_t workers_max = multiprocessors / share;
  GemmPlan plan = stream_of(kernel, shape, share);
  StreamSchedule& s = plan.stream;
  s.workers = static_cast<int32_t>(std::clamp<int64_t>(s.units() / kBlocksOfPartMin, 1, workers_max));
  plan.blocks = s.workers * share;
  plan.counters = int64_t{s.tiles} * share;
  plan.partial_bytes = int64_t{2} * plan.blocks * kTileRows * plan.token_tile * 4;
  if (plan.counters > kCountersMax || plan.partial_bytes > kPartialBytesMax) return std::nullopt;
  const double parts = static_cast<double>(divide_up(s.workers, s.tiles) + 1);
  const double slot = stream_slot_bytes(plan);
  plan.cycles =
      stretch_cycles(plan, shape) + kShareCycles + 2 * slot / l2_bytes(plan.blocks) + parts * slot / kAddBytes;
  return plan;
}

// A cluster of share * parts blocks for each tile; none when they do not all run at once.
std::optional<GemmPlan> plan_cluster(const GemmShape& shape, int32_t share, int32_t parts, int multiprocessors) {
  GemmPlan plan = stream_of(GemmKernel::kStreamSplit, shape, share);
  const int64_t size = int64_t{share} * parts;
  if (plan.stream.tiles > clusters_at_once(size, multiprocessors) || plan.stream.k_blocks < parts * kBlocksOfPartMin)
    return std::nullopt;
  plan.cluster_parts = parts;
  plan.stream.workers = plan.stream.tiles * parts;
  plan.blocks = static_cast<int32_t>(plan.stream.tiles * size);
  const double slot = stream_slot_bytes(plan);
  plan.cycles = stretch_cycles(plan, shape) + kClusterCycles + 2 * slot / kPeerBytes / parts;
  return plan;
}

std::optional<GemmPlan> plan_split_stream(const GemmShape& shape, int multiprocessors) {
  std::optional<GemmPlan> best;
  for (const int32_t share : {1, 2}) {
    for (int32_t parts = 2; parts <= kClusterPartsMax; ++parts) {
      const auto plan = plan_cluster(shape, share, parts, multiprocessors);
      if (plan && (!best || plan->cycles < best->cycles)) best = plan;
    }
  }
  return best;
}

}  // namespace

std::optional<GemmPlan> plan_gemm_with(GemmKernel kernel, const GemmShape& shape, int multiprocessors) {
  COVE_CHECK(shape.rows >= 1 && shape.weight_rows >= 1 && shape.in >= 1 && multiprocessors >= 2);
  if (!is_stream(kernel)) return plan_tiles(kernel, shape, multiprocessors);
  if (shape.rows > kTileRows) return std::nullopt;
  if (kernel == GemmKernel::kStreamSplit) return plan_split_stream(shape, multiprocessors);
  return plan_stream(kernel, shape, multiprocessors);
}

std::optional<GemmPlan> plan_stream_gemm(const GemmShape& shape, int multiprocessors) {
  std::optional<GemmPlan> best;
  for (const GemmKernel kernel : {GemmKernel::kStream, GemmKernel::kStreamPair, GemmKernel::kStreamSplit}) {
    const std::optional<GemmPlan> plan = plan_gemm_with(kernel, shape, multiprocessors);
    if (plan && (!best || plan->cycles < best->cycles)) best = plan;
  }
  return best;
}

GemmPlan plan_gemm(const GemmShape& shape, int multiprocessors) {
  const std::optional<GemmPlan> stream = plan_stream_gemm(shape, multiprocessors);
  if (stream && shape.rows <= kTileRows / 2) return *stream;  // half of a tile's rows would be empty
  GemmPlan best = *plan_gemm_with(GemmKernel::kTilesPair, shape, multiprocessors);
  for (const GemmKernel kernel : {GemmKernel::kTiles256, GemmKernel::kTiles128}) {
    const GemmPlan plan = *plan_gemm_with(kernel, shape, multiprocessors);
    if (plan.cycles < best.cycles) best = plan;
  }
  return stream && stream->cycles < best.cycles ? *stream : best;
}

}  // namespace cove::cuda::hopper
