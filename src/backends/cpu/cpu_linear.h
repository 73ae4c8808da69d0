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
  static constexpr int64_t kRowsPerPass = 512;  // c of two panels: 64 KB a thread

  LinearRunner(const KernelTable& kernels, ThreadPool& pool);

  // Takes what a layer of this size needs, so that steps allocate nothing; called when weights are loaded.
  void reserve(const CpuLinear& linear, int64_t rows);

  void run(const LinearArgs& args);

 private:
  static constexpr int64_t kUnitsPerChunk = 256;  // two panels of 16 lanes: 32 KB, stays in L1

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
    int64_t padded_units = 0;
  };

  void cut_tiles(int64_t rows, int64_t rows_max);
  void prepare_rows(const Pass& pass);
  Pair pair_of(const Pass& pass, int64_t index) const;
  void multiply_rows(const Pass& pass, const Pair& pair, int worker);
  void multiply_blocks(const Pass& pass, const Pair& pair, int worker);
  void store(const Pass& pass, const Pair& pair, int worker);
  float* c_of(int worker) const { return c_.as<float>() + worker * c_floats_; }

  const KernelTable& kernels_;
  ThreadPool& pool_;
  int64_t c_floats_;
  int64_t panel_floats_;
  AlignedBytes x_;        // tiles, each [padded_units][rows] units
  AlignedBytes x_scale_;  // block formats: tiles of [blocks][rows]
  AlignedBytes x_offset_;
  AlignedBytes c_;      // [threads][kRowsPerPass][kPanelsPerTile * lanes]
  AlignedBytes panel_;  // [threads][kPanelsPerTile][kUnitsPerChunk][lanes]
  std::vector<Tile> tiles_;
};

}  // namespace cove::cpu
