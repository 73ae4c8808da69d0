#pragma once
// How a product of weights in panels is computed: which tile, walked how. A model of cycles, tried on every candidate.
// Host arithmetic; panel_gemm.cc launches what it says, tests/gpu/hopper_check measures every candidate.

#include <cstdint>
#include <optional>
#include <vector>

#include "backends/cuda/hopper/plan/panel_schedule.h"

namespace cove::cuda::hopper {

struct PanelGemmShape {
  int64_t rows = 0;         // of x: tokens
  int64_t weight_rows = 0;  // a multiple of 16
  int64_t padded = 0;       // K, a multiple of 128
  int bits = 4;             // 4 or 8
  int64_t group = 32;       // inputs of a scale
  bool operator==(const PanelGemmShape&) const = default;
};

struct PanelPlan {
  int32_t blocks = 0;      // of the grid
  int32_t token_tile = 0;  // 16, 32, 64, 128
  int32_t row_tiles = 1;   // a tile has 128 times as many rows of weights
  PanelSchedule schedule{};
  int64_t partial_bytes = 0;  // of sums of shared tiles
  int64_t counters = 0;       // of shared tiles
  double cycles = 0.0;        // predicted, of one multiprocessor
};

// Every candidate that can compute the shape.
std::vector<PanelPlan> panel_plans(const PanelGemmShape& shape, int multiprocessors);
// The one with the fewest predicted cycles.
std::optional<PanelPlan> plan_panels(const PanelGemmShape& shape, int multiprocessors);

}  // namespace cove::cuda::hopper
