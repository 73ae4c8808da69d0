#include "backends/cuda/cuda_backend.h"

#include "backends/cuda/backend/backend.h"
#include "backends/cuda/runtime/device.h"

namespace cove {

bool cuda_available() { return cuda::has_device(); }

Result<std::unique_ptr<Backend>> make_cuda_backend(const CudaOptions& options) {
  TRY_ASSIGN(std::unique_ptr<cuda::Device> device, cuda::open_device(options.device));
  return cuda::make_backend(std::move(device), options);
}

}  // namespace cove
