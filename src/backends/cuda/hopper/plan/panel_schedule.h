#pragma once
// Which blocks of K of which tiles a thread block of gemm_panels.cuh computes: StreamSchedule or TileSchedule of
// schedule.h, walked by host and device alike. A tile is kTokens tokens by 128 or 256 rows of weights.

#include <cstdint>

#include "backends/cuda/hopper/plan/schedule.h"

namespace cove::cuda::hopper {

constexpr int kPanelPartsMax = 8;  // blocks of a cluster that share a tile

struct PanelSchedule {
  bool in_waves = false;      // tiles, else stream
  StreamSchedule stream{};    // one tile of tokens
  TileSchedule tiles{};       // M: tokens
  int32_t cluster_parts = 1;  // more, not in waves: a cluster of so many blocks has a tile to itself
};

struct PanelUnit {
  int32_t row_tile = 0;
  int32_t token_tile = 0;
  int32_t k_begin = 0;
  int32_t k_end = 0;
  // Of a tile that is shared (parts > 1): which part this is, its counter and where parts lie (partial_sums.cuh).
  int32_t part = 0;
  int32_t parts = 1;
  int32_t counter = 0;
  int32_t first_slot = 0;
  int32_t slot_step = 1;
  int32_t first_part_shift = 0;
};

class PanelWalk {
 public:
  COVE_HOST_DEVICE constexpr PanelWalk(const PanelSchedule& schedule, int32_t block, int32_t blocks)
      : schedule_(&schedule), block_(block), step_(blocks), at_(block), end_(schedule.tiles.units()) {
    if (schedule.in_waves) return;
    at_ = schedule.stream.begin(block);
    end_ = schedule.stream.begin(block + 1);
  }
  // False: there is no more.
  COVE_HOST_DEVICE constexpr bool next(PanelUnit& unit) {
    if (at_ >= end_) return false;
    if (schedule_->in_waves) {
      next_tile(unit);
    } else {
      next_stretch(unit);
    }
    return true;
  }

 private:
  COVE_HOST_DEVICE constexpr void next_tile(PanelUnit& unit) {
    const TileUnit u = tile_unit(schedule_->tiles, static_cast<int32_t>(at_));
    at_ += step_;
    unit = {.row_tile = u.n, .token_tile = u.m, .k_begin = u.k_begin, .k_end = u.k_end};
    if (u.split_tile < 0) return;
    unit.part = u.part;
    unit.parts = schedule_->tiles.split;
    unit.counter = u.split_tile;
    unit.first_slot = u.split_tile * schedule_->tiles.split;
  }
  COVE_HOST_DEVICE constexpr void next_stretch(PanelUnit& unit) {
    const StreamUnit u = stream_unit(schedule_->stream, at_, end_);
    at_ += u.k_end - u.k_begin;
    unit = {.row_tile = u.tile, .k_begin = u.k_begin, .k_end = u.k_end};
    if (!u.shared() || schedule_->cluster_parts > 1) return;
    unit.part = block_ - u.first_worker;
    unit.parts = u.last_worker - u.first_worker + 1;
    unit.counter = u.tile;
    unit.first_slot = 2 * u.first_worker;
    unit.slot_step = 2;
    unit.first_part_shift = 1;
  }

  const PanelSchedule* schedule_;
  int32_t block_;
  int32_t step_;
  int64_t at_;
  int64_t end_;
};

}  // namespace cove::cuda::hopper
