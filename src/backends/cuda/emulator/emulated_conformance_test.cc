// The conformance suite on the CUDA backend's own kernels, run by the emulator.
#include "backends/cuda/backend/backend.h"
#include "backends/cuda/conformance_cases.h"
#include "backends/cuda/emulator/emulated_device.h"
#include "compute/conformance/conformance.h"

namespace cove::conformance {
namespace {

std::unique_ptr<Backend> make(const CudaOptions& options) {
  Result<std::unique_ptr<Backend>> backend = cuda::make_backend(cuda::emulated::make_device(), options);
  COVE_CHECK_MSG(backend.has_value(), backend.has_value() ? "" : backend.error().message);
  return std::move(*backend);
}

}  // namespace

INSTANTIATE_TEST_SUITE_P(Emulated, BackendConformance, ::testing::Values(cuda_case(make, false), cuda_case(make, true)),
                         case_name);

}  // namespace cove::conformance
