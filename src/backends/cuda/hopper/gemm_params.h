#pragma once
// What the matrix-product kernels get besides their tensor maps; plain data, filled by gemm.cu.

#include <cstdint>

#include "backends/cuda/hopper/plan/schedule.h"

namespace cove::cuda::hopper {

// How sums become outputs: out = sum * row_scale * channel_scale + bias, or silu(gate) * up of two such.
struct OutputParams {
  const float* row_scale = nullptr;      // [rows], formats with scales only
  const float* channel_scale = nullptr;  // [weight_rows], likewise
  const float* bias = nullptr;           // [weight_rows] or null
  float* out_f32 = nullptr;              // [rows][width] or null: then bf16
  void* out_bf16 = nullptr;              // [rows][width]
  int32_t rows = 0;                      // of x and out
  int32_t weight_rows = 0;
  int32_t width = 0;  // outputs of a row
  int32_t swiglu = 0;
  int32_t add = 0;  // to what is in out_bf16
};

// Partial sums of split tiles. counters are zero between kernels: whoever finishes a tile resets its counter.
struct PartialSums {
  float* sums = nullptr;
  uint32_t* counters = nullptr;
};

struct TileParams {
  TileSchedule schedule{};
  OutputParams output{};
  PartialSums partial{};
};

struct StreamParams {
  StreamSchedule schedule{};
  int32_t cluster_parts = 1;  // more: a cluster has a tile to itself, and adds its parts in shared memory
  OutputParams output{};
  PartialSums partial{};
};

}  // namespace cove::cuda::hopper
