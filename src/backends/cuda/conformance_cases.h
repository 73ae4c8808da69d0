#pragma once
// What the conformance suite is to expect of the CUDA backend, on a GPU or emulated. For tests.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "backends/cuda/cuda_backend.h"
#include "compute/conformance/fixture.h"

namespace cove::conformance {

using MakeCuda = std::function<std::unique_ptr<Backend>(const CudaOptions&)>;

// Activations are bf16 everywhere; f32 and f16 weights are rounded to bf16 when they are loaded, quantised ones when
// many tokens come.
inline Rounding cuda_rounding(DType weights) { return weights == DType::kBF16 ? Rounding::kBF16 : Rounding::kBF16Both; }

inline BackendCase cuda_case(const MakeCuda& make, bool reproducible) {
  return {.name = reproducible ? "reproducible" : "fast",
          .make = [make, reproducible] { return make({.reproducible = reproducible}); },
          .rounding = cuda_rounding,
          .caches = {DType::kBF16, DType::kF32, DType::kE4M3},
          .batch_invariant = reproducible};
}

}  // namespace cove::conformance
