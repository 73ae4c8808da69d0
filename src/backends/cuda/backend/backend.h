#pragma once
// The CUDA backend over any Device: the real one (cuda_backend.cc), or the emulator's in tests.

#include <memory>

#include "backends/cuda/cuda_backend.h"
#include "backends/cuda/runtime/device.h"
#include "compute/backend.h"

namespace cove::cuda {

// Errors: kFailedPrecondition (memory).
Result<std::unique_ptr<Backend>> make_backend(std::unique_ptr<Device> device, const CudaOptions& options);

}  // namespace cove::cuda
