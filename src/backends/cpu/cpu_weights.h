#pragma once
// Linear weights as the CPU kernels read them. f32, f16 and bf16 stay where they are, usually in the file's mapping,
// and are transposed into panels in registers or in cache while they are multiplied. q8_0 and q4_0 are repacked once,
// row panel by row panel, into as many bytes as they had; the mapping's pages are then only cached file and the kernel
// may drop them. Nothing else is kept twice.

#include <vector>

#include "backends/cpu/isa/kernel_table.h"
#include "backends/cpu/memory.h"
#include "backends/cpu/thread_pool.h"
#include "compute/backend.h"

namespace cove::cpu {

// `lanes` rows of one part.
struct Panel {
  const std::byte* rows = nullptr;  // row-major: first row; block formats: the packed panel
  int64_t row_count = 0;            // that exist, 1..lanes
  int64_t first_output = 0;         // in the stacked output
};

struct CpuLinear final : LinearWeight {
  enum class Path : uint8_t { kFloat, kPairs, kBlocks };  // f32 units, bf16 pairs, int8 blocks

  Path path = Path::kFloat;
  RowFormat row_format = RowFormat::kRaw32;
  BlockFormat block_format = BlockFormat::kQ8;
  int64_t row_stride = 0;   // bytes; row-major paths
  int64_t units = 0;        // 4-byte units of a row
  int64_t panel_bytes = 0;  // of weights in a full panel
  std::vector<Panel> panels;
  std::vector<size_t> part_begin;  // first panel of each part, and the end
  AlignedBytes bias;               // f32 [panels][lanes]
  AlignedBytes packed;             // block formats, or mixed dtypes widened to f32
};

Result<std::unique_ptr<CpuLinear>> load_cpu_linear(const LinearWeightDesc& desc, const KernelTable& kernels,
                                                   ThreadPool& pool);

}  // namespace cove::cpu
