#pragma once
// Linear layers on the CPU: prepares the activations once, then walks the weights two panels at a time over all
// threads. Called by cpu_backend.cc.

#include <vector>

#include "backends/cpu/cpu_weights.h"
#include "backends/cpu/isa/kernel_table.h"
#include "backends/cpu/memory.h"
#include "backends/cpu/thread_pool.h"
#include "compute/backend.h"

namespace cove::cpu {

// Scratch of linear layers; grows to the largest layer and batch seen, never beyond kRowsPerPass rows.
class LinearRunner {
 public:
  static constexpr int64_t kRowsPerPass = 512;  // c of two panels of 16 lanes: 256 KB a thread

  LinearRunner(const KernelTable& kernels, ThreadPool& pool);

  // Takes what a layer of this size needs, so that steps allocate nothing; called when weights are loaded.
  void reserve(const CpuLinear& linear, int64_t rows);

  void run(const LinearArgs& args);

 private:
  static constexpr int64_t kStepsPerChunk = 128;  // a panel of 16 lanes: 32 KB, stays in L1
  static constexpr int64_t kPassBytes =
      int64_t{4} << 20;  // of prepared rows, which every pair of panels walks: they should stay in L3

  struct Tile {
    int64_t first_row = 0;
    int64_t rows = 0;
  };
  struct Pair {  // panels that one tile multiplies
    const Panel* panels[kPanelsPerTile] = {};
    const float* bias[kPanelsPerTile] = {};
    int64_t prefetch_bytes = 0;  // from a panel to the one this thread needs next
  };
  struct Pass {  // one call's rows [first_row, first_row + rows)
    const LinearArgs* args = nullptr;
    const CpuLinear* linear = nullptr;
    int64_t first_row = 0;
    int64_t rows = 0;
    int64_t x_stride = 0;  // units of a prepared row
  };

  void cut_tiles(int64_t rows, int64_t rows_max);
  void prepare_rows(const Pass& pass);
  Pair pair_of(const Pass& pass, int64_t index) const;
  int64_t rows_per_pass(const CpuLinear& linear) const;
  RowsArgs rows_of(const Pass& pass, const Pair& pair, int p, int64_t step, int64_t steps) const;
  void multiply_direct(const Pass& pass, const Pair& pair, int worker);
  void multiply_packed(const Pass& pass, const Pair& pair, int worker);
  void multiply_blocks(const Pass& pass, int64_t begin, int64_t end, int worker);
  void multiply_block_tile(const Pass& pass, const Pair& pair, const Tile& tile, int worker);
  void store(const Pass& pass, const Pair& pair, const Tile& tile, int worker);
  float* c_of(int worker) const { return c_.as<float>() + worker * c_floats_; }

  const KernelTable& kernels_;
  ThreadPool& pool_;
  int64_t c_floats_;
  int64_t panel_floats_;
  AlignedBytes x_;        // tiles, as the kernels want them: [steps][rows][4] units, or int8 blocks
  AlignedBytes x_scale_;  // block formats: tiles of [blocks][rows]
  AlignedBytes x_offset_;
  AlignedBytes c_;      // [threads][kRowsPerPass][kPanelsPerTile][4][lanes]
  AlignedBytes panel_;  // [threads][kStepsPerChunk][4][lanes]
  std::vector<Tile> tiles_;
};

}  // namespace cove::cpu
