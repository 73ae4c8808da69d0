// Stands in for the CUDA backend where the build has no nvcc.
#include "backends/cuda/cuda_backend.h"

namespace cove {
namespace {

Error no_cuda() {
  return make_error(ErrorCode::kUnsupported,
                    "device 'cuda': this build has no CUDA backend (nvcc was not found when it was built); use auto or "
                    "cpu");
}

}  // namespace

bool cuda_available() { return false; }

Result<std::unique_ptr<Backend>> make_cuda_backend(const CudaOptions&) { return no_cuda(); }

Result<CudaCeilings> measure_cuda_ceilings(int) { return no_cuda(); }

}  // namespace cove
