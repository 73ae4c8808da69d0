#pragma once
// The CUDA backend, for NVIDIA GPUs of compute capability 8.0 and newer; tuned for 9.0 (Hopper). Made by apps/ and by
// tests. No CUDA type is visible here: a build without nvcc compiles stub.cc, and a binary built with it runs on
// machines without a GPU. How it works: docs/kernels/cuda.md.

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "compute/backend.h"

namespace cove {

// What linear layers with bf16, f16 or f32 weights are rounded to while they are loaded.
enum class CudaWeightFormat : uint8_t {
  kAsStored,  // bf16 (f16 and f32 are rounded to it), q8_0, q4_0
  kFp8,       // e4m3, one scale per output
  kInt8,      // symmetric, one scale per output
  kW4A16,     // 4 bits, symmetric, one f16 scale per 128 inputs
};

struct CudaOptions {
  int device = 0;  // as the driver numbers them
  bool reproducible =
      false;  // the same bits for a sequence whatever else is in the batch and however its prompt is cut
  CudaWeightFormat format = CudaWeightFormat::kAsStored;
};

// Whether this build has the CUDA backend and this machine a driver and a GPU for it. Never fails, never logs.
bool cuda_available();

// Errors: kUnsupported (no CUDA in this build; no GPU; too old a GPU or driver), kInvalidArgument (no such device).
Result<std::unique_ptr<Backend>> make_cuda_backend(const CudaOptions& options = {});

// What the device can do at most, measured now with kernels of our own; about a second. Used by `cove bench`. The rates
// of products are those of the matrix product that linear layers use, at the size where it is fastest.
struct CudaCeilings {
  double read_gbs = 0;     // 10^9 bytes a second read from device memory
  double bf16_tflops = 0;  // 10^12 operations a second; a product and a sum count as two
  double fp8_tflops = 0;   // both factors e4m3; 0 where linear layers multiply fp8 weights as bf16
  double int8_tops = 0;    // likewise
};
Result<CudaCeilings> measure_cuda_ceilings(int device = 0);

}  // namespace cove
