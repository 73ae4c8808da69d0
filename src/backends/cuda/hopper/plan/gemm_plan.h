#pragma once
// Which kernel computes a matrix product, with which tiles, split how: a model of cycles, tried on every candidate.
// Host arithmetic that runs anywhere; gemm.cu launches what it says, tests/gpu/hopper_check.cu measures every candidate
// against the prediction.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "backends/cuda/hopper/plan/schedule.h"

namespace cove::cuda::hopper {

struct GemmShape {
  int64_t rows = 0;         // of x: tokens
  int64_t weight_rows = 0;  // of w
  int64_t in = 0;           // K
  int64_t element_bytes = 2;
};

enum class GemmKernel : uint8_t {
  kTilesPair,    // 256 x 256 outputs a cluster of two blocks that share their rows of w
  kTiles256,     // 128 x 256 a block
  kTiles128,     // 128 x 128
  kStream,       // weights on the M side, up to 128 tokens on the N side
  kStreamPair,   // the same; pairs of blocks share x
  kStreamSplit,  // the same; a cluster adds the parts of its tile in shared memory
};

struct GemmPlan {
  GemmKernel kernel = GemmKernel::kTilesPair;
  int32_t blocks = 0;         // of the grid
  int32_t token_tile = 0;     // the streams: 16, 32, 64, 128
  int32_t share = 1;          // the streams: blocks that share x, 1 or 2
  int32_t cluster_parts = 1;  // kStreamSplit: workers of a tile, all in one cluster
  TileSchedule tiles{};       // the kTiles kernels
  StreamSchedule stream{};    // the streams
  int64_t partial_bytes = 0;  // of sums of split tiles
  int64_t counters = 0;       // of split tiles
  double cycles = 0.0;        // predicted, of one multiprocessor
};

// The workspace of every product: counters, then partial sums.
constexpr int64_t kCountersMax = 4096;
constexpr int64_t kPartialBytesMax = int64_t{64} << 20;
constexpr int64_t kWorkspaceBytes = kCountersMax * 4 + kPartialBytesMax;

// The best split for one kernel; none when it cannot compute the shape.
std::optional<GemmPlan> plan_gemm_with(GemmKernel kernel, const GemmShape& shape, int multiprocessors);

constexpr bool is_stream(GemmKernel kernel) { return kernel >= GemmKernel::kStream; }

// The candidate with the fewest predicted cycles; a stream up to 64 rows. rows, weight_rows, in >= 1, multiprocessors
// >= 2.
GemmPlan plan_gemm(const GemmShape& shape, int multiprocessors);
// Likewise, of the streams only; none for more than 128 rows.
std::optional<GemmPlan> plan_stream_gemm(const GemmShape& shape, int multiprocessors);

}  // namespace cove::cuda::hopper
