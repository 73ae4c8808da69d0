#pragma once
// What CudaOptions::format makes of weights, computed on the host the plain way. For tests, which give the reference
// backend the same rounded weights.

#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

#include "backends/cuda/cuda_backend.h"
#include "tensor/formats/float16.h"

namespace cove::cuda {

// The nearest of the 127 magnitudes of e4m3, by looking at all of them.
inline double nearest_e4m3(double value) {
  double best = 0;
  for (int code = 0; code < 0x7f; ++code) {
    const int exponent = code >> 3;
    const int mantissa = code & 7;
    const double magnitude = exponent == 0 ? std::ldexp(mantissa, -9) : std::ldexp(8 + mantissa, exponent - 10);
    if (std::fabs(magnitude - std::fabs(value)) < std::fabs(best - std::fabs(value))) best = magnitude;
  }
  return std::copysign(best, value);
}

// One row as the options say it is rounded: largest magnitude / 448, / 127, or per 128 values / 7.
inline std::vector<float> rounded_row(std::span<const float> row, CudaWeightFormat format) {
  std::vector<float> out(row.begin(), row.end());
  if (format == CudaWeightFormat::kAsStored) return out;
  const size_t group = format == CudaWeightFormat::kW4A16 ? 128 : row.size();
  for (size_t begin = 0; begin < row.size(); begin += group) {
    const size_t end = std::min(row.size(), begin + group);
    float most = 0;
    for (size_t i = begin; i < end; ++i) most = std::max(most, std::fabs(row[i]));
    float scale = most / (format == CudaWeightFormat::kFp8    ? 448.0F
                          : format == CudaWeightFormat::kInt8 ? 127.0F
                                                              : 7.0F);
    if (format == CudaWeightFormat::kW4A16) scale = f16_to_f32(f32_to_f16(scale));
    for (size_t i = begin; i < end; ++i) {
      const double quotient = static_cast<double>(row[i] * (1.0F / scale));
      const double rounded = format == CudaWeightFormat::kFp8 ? nearest_e4m3(quotient) : std::nearbyint(quotient);
      out[i] = static_cast<float>(rounded * static_cast<double>(scale));
    }
  }
  return out;
}

}  // namespace cove::cuda
