#include "backends/cuda/hopper/plan/panel_plan.h"

#include <algorithm>

#include "backends/cuda/hopper/plan/gemm_plan.h"
#include "base/check.h"

namespace cove::cuda::hopper {
namespace {

// What one multiprocessor of an H200 does in a cycle; see gemm_plan.cc and docs/kernels/hopper.md.
constexpr double kL2BytesAll = 3430;      // read into shared memory, all multiprocessors together
constexpr double kL2BytesMax = 40.0;      // by one of them
constexpr double kMemoryBytesAll = 2650;  // out of device memory, all multiprocessors together
constexpr double kTensorShare = 0.75;     // of the tensor cores' peak
// A scheduler's cycles for two weights of a lane, with one tile of 64 rows a warpgroup and with two.
constexpr double kPairCyclesOne = 12.0;
constexpr double kPairCyclesOne8 = 15.0;  // 8 bits
constexpr double kPairCyclesTwo = 9.7;
constexpr double kUnitCycles = 2500.0;        // of a tile: filling the ring, epilogue
constexpr double kLaunchCycles = 6000.0;      // of a kernel
constexpr double kShareCycles = 4500.0;       // a part's way through device memory
constexpr double kClusterCycles = 1300.0;     // through shared memory
constexpr double kClusterPartCycles = 200.0;  // and for each part
constexpr double kPeerBytes = 20.0;           // read out of other blocks' shared memory
constexpr double kAddBytes = 64.0;            // read by the few blocks that add parts
constexpr double kWavePartBytes = 8.0;        // of a part of a tile of 128 tokens, written
constexpr double kWaveAddBytes = 16.0;        // and read
constexpr int64_t kBlocksOfPartMin = 2;       // blocks of K that a part should have
constexpr int64_t kSplitMax = 16;
constexpr int64_t kMultiprocessorsOfGroup = 16;

int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }
int64_t block_k(const PanelGemmShape& shape) { return shape.bits == 4 ? 128 : 64; }

double memory_cycles(const PanelGemmShape& shape) {
  const double weights = static_cast<double>(shape.weight_rows * shape.padded) *
                         (static_cast<double>(shape.bits) / 8 + 2.0 / static_cast<double>(shape.group));
  return (weights + static_cast<double>(shape.rows * shape.padded) * 2) / kMemoryBytesAll;
}

double pair_cycles(const PanelGemmShape& shape, const PanelPlan& plan) {
  if (plan.row_tiles == 2) return kPairCyclesTwo;
  return shape.bits == 8 ? kPairCyclesOne8 : kPairCyclesOne;
}

// Of one block of K of a tile, while `blocks` run.
double block_cycles(const PanelGemmShape& shape, const PanelPlan& plan, int64_t blocks) {
  const auto k = static_cast<double>(block_k(shape));
  const double rows = kTileRows * plan.row_tiles;
  const double bytes = rows * k * (static_cast<double>(shape.bits) / 8 + 2.0 / static_cast<double>(shape.group)) +
                       plan.token_tile * k * 2;
  const double tensor = rows * k * plan.token_tile / 2048 / kTensorShare;
  const double expand = rows * k / 2 / 128 * pair_cycles(shape, plan);
  const double l2 = std::min(kL2BytesMax, kL2BytesAll / static_cast<double>(blocks));
  return std::max({tensor, expand, bytes / l2});
}

double slot_bytes(const PanelPlan& plan) { return double{kTileRows} * plan.row_tiles * plan.token_tile * 4; }

PanelPlan stream_of(const PanelGemmShape& shape, int32_t row_tiles) {
  PanelPlan plan{.token_tile = 16, .row_tiles = row_tiles};
  while (plan.token_tile < shape.rows) plan.token_tile *= 2;
  plan.schedule.stream.tiles = static_cast<int32_t>(divide_up(shape.weight_rows, int64_t{kTileRows} * row_tiles));
  plan.schedule.stream.k_blocks = static_cast<int32_t>(shape.padded / block_k(shape));
  return plan;
}

double stretch_cycles(const PanelGemmShape& shape, const PanelPlan& plan) {
  const StreamSchedule& s = plan.schedule.stream;
  const double blocks = static_cast<double>(divide_up(s.units(), s.workers)) * block_cycles(shape, plan, plan.blocks);
  const double memory = memory_cycles(shape);
  // What binds less still costs something where it does not overlap.
  return kLaunchCycles + kUnitCycles + std::max(blocks, memory) + 0.15 * std::min(blocks, memory);
}

std::optional<PanelPlan> plan_stretches(const PanelGemmShape& shape, int32_t row_tiles, int multiprocessors) {
  PanelPlan plan = stream_of(shape, row_tiles);
  StreamSchedule& s = plan.schedule.stream;
  s.workers = static_cast<int32_t>(std::clamp<int64_t>(s.units() / kBlocksOfPartMin, 1, multiprocessors));
  plan.blocks = s.workers;
  plan.counters = s.tiles;
  plan.partial_bytes = 2 * plan.blocks * static_cast<int64_t>(slot_bytes(plan));
  if (plan.counters > kCountersMax || plan.partial_bytes > kPartialBytesMax) return std::nullopt;
  const double parts = static_cast<double>(divide_up(s.workers, s.tiles) + 1);
  plan.cycles = stretch_cycles(shape, plan) + kShareCycles +
                2 * slot_bytes(plan) / std::min(kL2BytesMax, kL2BytesAll / plan.blocks) +
                parts * slot_bytes(plan) / kAddBytes;
  return plan;
}

// As clusters_at_once of gemm_plan.cc: an H200 takes 39 of 3, 30 of 4, 17 of 6 and 15 of 8 blocks.
int64_t clusters_at_once(int64_t blocks, int multiprocessors) {
  if (blocks == 1) return multiprocessors;
  const int64_t in_groups = multiprocessors / kMultiprocessorsOfGroup * (kMultiprocessorsOfGroup / blocks);
  return std::min<int64_t>(in_groups, int64_t{multiprocessors} * 9 / 10 / blocks);
}

std::optional<PanelPlan> plan_cluster(const PanelGemmShape& shape, int32_t row_tiles, int32_t parts,
                                      int multiprocessors) {
  PanelPlan plan = stream_of(shape, row_tiles);
  StreamSchedule& s = plan.schedule.stream;
  if (s.tiles > clusters_at_once(parts, multiprocessors) || s.k_blocks < parts * kBlocksOfPartMin) return std::nullopt;
  plan.schedule.cluster_parts = parts;
  s.workers = s.tiles * parts;
  plan.blocks = s.workers;
  plan.cycles =
      stretch_cycles(shape, plan) + kClusterCycles + parts * kClusterPartCycles + slot_bytes(plan) / kPeerBytes;
  return plan;
}

std::optional<PanelPlan> plan_waves(const PanelGemmShape& shape, int64_t full_waves, int64_t split,
                                    int multiprocessors) {
  PanelPlan plan{.token_tile = 128, .row_tiles = 2};
  plan.schedule.in_waves = true;
  TileSchedule& s = plan.schedule.tiles;
  s.tiles_m = static_cast<int32_t>(divide_up(shape.rows, plan.token_tile));
  s.tiles_n = static_cast<int32_t>(divide_up(shape.weight_rows, int64_t{kTileRows} * plan.row_tiles));
  s.k_blocks = static_cast<int32_t>(shape.padded / block_k(shape));
  s.raster = 16;
  const int64_t tiles = s.tiles();
  if (split > 1 && split > s.k_blocks / kBlocksOfPartMin) return std::nullopt;
  s.full_tiles = static_cast<int32_t>(split == 1 ? tiles : full_waves * multiprocessors);
  s.split = static_cast<int32_t>(split);
  plan.counters = split > 1 ? tiles - s.full_tiles : 0;
  plan.partial_bytes = plan.counters * split * static_cast<int64_t>(slot_bytes(plan));
  if (plan.counters > kCountersMax || plan.partial_bytes > kPartialBytesMax) return std::nullopt;
  plan.blocks = static_cast<int32_t>(std::min<int64_t>(multiprocessors, s.units()));
  const double of_block = block_cycles(shape, plan, plan.blocks);
  const auto waves = [&](int64_t units) { return static_cast<double>(divide_up(units, plan.blocks)); };
  const double whole = waves(s.full_tiles) * (static_cast<double>(s.k_blocks) * of_block + kUnitCycles);
  const double part = static_cast<double>(divide_up(s.k_blocks, split)) * of_block + kUnitCycles;
  const double parts = split == 1 ? 0 : waves(plan.counters * split) * (part + slot_bytes(plan) / kWavePartBytes);
  const double adding = split == 1 ? 0 : static_cast<double>(split) * slot_bytes(plan) / kWaveAddBytes;
  plan.cycles = kLaunchCycles + std::max(whole + parts + adding, memory_cycles(shape));
  return plan;
}

}  // namespace

std::vector<PanelPlan> panel_plans(const PanelGemmShape& shape, int multiprocessors) {
  COVE_CHECK(shape.rows >= 1 && shape.weight_rows >= 16 && shape.padded >= 128 && multiprocessors >= 2);
  std::vector<PanelPlan> plans;
  const auto add = [&](const std::optional<PanelPlan>& plan) {
    if (plan) plans.push_back(*plan);
  };
  if (shape.rows <= kTileRows) {
    for (const int32_t row_tiles : {1, 2}) {
      add(plan_stretches(shape, row_tiles, multiprocessors));
      for (int32_t parts = 2; parts <= kPanelPartsMax; ++parts)
        add(plan_cluster(shape, row_tiles, parts, multiprocessors));
    }
    return plans;
  }
  const int64_t tiles = divide_up(shape.rows, 128) * divide_up(shape.weight_rows, 256);
  add(plan_waves(shape, tiles / multiprocessors, 1, multiprocessors));
  for (int64_t split = 2; split <= kSplitMax; ++split) {
    for (const int64_t whole : {tiles / multiprocessors, tiles / multiprocessors - 1}) {
      if (whole >= 0 && whole * multiprocessors < tiles) add(plan_waves(shape, whole, split, multiprocessors));
    }
  }
  return plans;
}

std::optional<PanelPlan> plan_panels(const PanelGemmShape& shape, int multiprocessors) {
  std::optional<PanelPlan> best;
  for (const PanelPlan& plan : panel_plans(shape, multiprocessors)) {
    if (!best || plan.cycles < best->cycles) best = plan;
  }
  return best;
}

}  // namespace cove::cuda::hopper
