#pragma once
// Brings rows as they lie in a file into a WeightLayout, and back to bf16. All pointers are device memory. Used while
// weights are loaded, and by long prompts with quantised weights.

#include <cstdint>

#include "backends/cuda/plan/weight_layout.h"
#include "tensor/dtype.h"

namespace cove::cuda {

struct DeviceWeight {
  WeightLayout layout{};
  void* weight = nullptr;           // [rows] of pitch bytes, zeroed before packing
  uint16_t* group_scale = nullptr;  // f16, see WeightLayout::panel_scale; kQ8 and kQ4
  float* row_scale = nullptr;       // [rows]; kInt8 and kE4M3
  float* bias = nullptr;            // [rows], or null
  bool operator==(const DeviceWeight&) const = default;
};

struct PackLaunch {
  DeviceWeight to{};
  const void* from = nullptr;  // [count] rows of the file, packed; 16-byte aligned
  DType dtype = DType::kBF16;
  int64_t row_bytes = 0;
  int64_t count = 0;
  int64_t part = 0;
  int64_t part_begin = 0;  // outputs of the parts before
  int64_t first_row = 0;   // of this part
};
// f32, f16, bf16 -> kBF16, kInt8, kE4M3, kQ4 in groups of 128 (rounding to nearest; int8: largest magnitude / 127; fp8:
// / 448; 4 bits: / 7); q8_0 -> kQ8; q4_0 -> kQ4 in groups of 32 (exact).
const char* launch_pack(const PackLaunch& args, void* stream);

// All rows to bf16 [rows][padded], multiplied by their scales.
const char* launch_unpack(const DeviceWeight& from, void* to, void* stream);

}  // namespace cove::cuda
