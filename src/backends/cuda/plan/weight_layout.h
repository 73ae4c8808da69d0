#pragma once
// How a linear layer's weights lie in device memory. Host arithmetic; used when weights are loaded and by the launches
// that read them. docs/kernels/cuda.md has the pictures.
//
// Rows: `rows` physical rows, a multiple of 16; those beyond the last output are zero. Two parts of equal size are
// {gate, up} and are interleaved: eight rows of gate, eight rows of up, and so on, so that one thread holds both
// factors of silu(gate) * up. Columns: `padded` inputs, a multiple of 128; those beyond `inputs` are zero.

#include <cstdint>
#include <vector>

#include "tensor/dtype.h"

namespace cove::cuda {

enum class WeightFormat : uint8_t {
  kBF16,  // [rows][padded] bf16
  kQ8,    // [rows][padded] int8, a scale per 32 inputs; each 64 inputs permuted, see pack.cu
  kQ4,    // [rows][padded / 2] 4-bit values plus 8, a scale per `group` inputs; each 128 inputs permuted
  kInt8,  // [rows][padded] int8, one f32 scale per row
  kE4M3,  // [rows][padded] fp8, one f32 scale per row
};

// Functions of it are constexpr, which kernels may call.
struct WeightLayout {
  WeightFormat format = WeightFormat::kBF16;
  int64_t inputs = 0;
  int64_t padded = 0;
  int64_t outputs = 0;  // logical
  int64_t rows = 0;     // physical
  int64_t pitch = 0;    // bytes of a row
  int64_t group = 0;    // inputs of one scale; kQ8 and kQ4
  bool interleaved = false;

  constexpr int64_t weight_bytes() const { return rows * pitch; }
  constexpr int64_t scale_pitch() const { return group == 0 ? 0 : padded / group; }  // f16 scales of a row
  constexpr int64_t group_scale_bytes() const { return rows * scale_pitch() * 2; }
  constexpr bool has_row_scales() const { return format == WeightFormat::kInt8 || format == WeightFormat::kE4M3; }
  bool operator==(const WeightLayout&) const = default;
};

// part_rows: outputs of each part. group is for kQ4 only (32 or 128).
WeightLayout plan_weight(WeightFormat format, const std::vector<int64_t>& part_rows, int64_t inputs, int64_t group);

// Where row `row` of part `part` lies; part_begin is the sum of the parts before. The inverse of logical_row.
constexpr int64_t physical_row(bool interleaved, int64_t part, int64_t part_begin, int64_t row) {
  return interleaved ? row / 8 * 16 + part * 8 + row % 8 : part_begin + row;
}

}  // namespace cove::cuda
