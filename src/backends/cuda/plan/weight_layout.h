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
  kQ8,    // int8, a scale per 32 inputs; in panels
  kQ4,    // 4-bit values plus 8, a scale per `group` inputs; in panels
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
  constexpr int64_t group_scale_bytes() const { return group == 0 ? 0 : rows * (padded / group) * 2; }
  // A chunk is what 32 lanes hold of 16 rows in two 16-byte words each: lane 4 g + t word t of rows g and g + 8.
  constexpr int64_t chunk_inputs() const {
    return format == WeightFormat::kBF16 ? 32 : format == WeightFormat::kQ4 ? 128 : 64;
  }
  constexpr int64_t chunks() const { return padded / chunk_inputs(); }
  // kQ8 and kQ4: 16 rows are a panel, [row / 16][chunk][row / 8 % 2][lane] of 16 bytes, so that a warp reads on in
  // memory. Eight inputs 32 o + 8 t .. of a chunk ("octet" o) are in lane t's word: at byte 8 o (kQ8: values 0, 2, 1,
  // 3, 4, 6, 5, 7, so that each half of a 32-bit word is a pair) or in its 32-bit word o (kQ4: value 2 j is nibble j,
  // value 2 j + 1 nibble j + 4). Byte of the word that holds inputs 8 octet .. of a row:
  constexpr int64_t panel_word(int64_t row, int64_t octet) const {
    const int64_t chunk = octet * 8 / chunk_inputs();
    return (((row / 16 * chunks() + chunk) * 2 + row / 8 % 2) * 32 + row % 8 * 4 + octet % 4) * 16;
  }
  // Scales likewise, those of a lane side by side: [row / 16][chunk][row % 8][scale of the chunk][row / 8 % 2].
  constexpr int64_t scales_of_chunk() const { return group == 0 ? 0 : chunk_inputs() / group; }
  constexpr int64_t panel_scale(int64_t row, int64_t input) const {
    const int64_t chunk = row / 16 * chunks() + input / chunk_inputs();
    const int64_t in_chunk = input % chunk_inputs() / group;
    return ((chunk * 8 + row % 8) * scales_of_chunk() + in_chunk) * 2 + row / 8 % 2;
  }
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
