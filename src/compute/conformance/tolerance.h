#pragma once
// How far a backend's result may be from the reference, derived from what it rounds. Included by the conformance
// checks.
//
// A sum of n products in f32 picks up rounding errors of relative size u = 2^-24 each; they behave like independent
// noise, so the error of a dot product has a standard deviation below sqrt(n) u |x| |w|. Rounding the activations adds
// noise of its own: uniform within half a unit of the rounding, a standard deviation of unit / sqrt(12). Checks allow
// six standard deviations.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>

namespace cove::conformance {

// What a backend rounds activations to before multiplying them with weights of some format.
enum class Rounding : uint8_t {
  kF32,
  kF16,         // 11 bits of significand
  kBF16,        // 8 bits
  kBF16Both,    // 8 bits, and the weights too
  kInt8Blocks,  // int8 with one scale per 32 values
};

inline constexpr double kUnitF32 = 0x1p-24;
inline constexpr double kSigmas = 6;

// Variance of the error that `rounding` gives to sum x[k] w[k].
inline double activation_variance(std::span<const float> x, std::span<const float> w, Rounding rounding) {
  double variance = 0;
  for (size_t begin = 0; begin < x.size(); begin += 32) {
    const size_t end = std::min(begin + 32, x.size());
    double biggest = 0;
    for (size_t k = begin; k < end; ++k) biggest = std::max(biggest, std::fabs(static_cast<double>(x[k])));
    for (size_t k = begin; k < end; ++k) {
      double unit = 0;  // spacing of the rounded values
      if (rounding == Rounding::kInt8Blocks) unit = biggest / 127;
      if (rounding == Rounding::kBF16 || rounding == Rounding::kBF16Both)
        unit = std::fabs(static_cast<double>(x[k])) * 0x1p-7;
      if (rounding == Rounding::kF16) unit = std::fabs(static_cast<double>(x[k])) * 0x1p-10;
      variance += unit * unit / 12 * static_cast<double>(w[k]) * w[k];
    }
  }
  return rounding == Rounding::kBF16Both ? 2 * variance : variance;
}

inline double norm(std::span<const float> values) {
  double squares = 0;
  for (const float v : values) squares += static_cast<double>(v) * v;
  return std::sqrt(squares);
}

// Allowed error of one dot product with f32 accumulation.
inline double dot_tolerance(std::span<const float> x, std::span<const float> w, Rounding rounding) {
  const double accumulation = (2 + std::sqrt(static_cast<double>(x.size()))) * kUnitF32 * norm(x) * norm(w);
  return kSigmas * (accumulation + std::sqrt(activation_variance(x, w, rounding))) + 1e-30;
}

}  // namespace cove::conformance
