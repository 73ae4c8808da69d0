// Stands in for the Hopper kernels where they are not built: nothing is supported.
#include "backends/cuda/hopper/hopper.h"

namespace cove::cuda::hopper {
namespace {

constexpr const char* kNotBuilt = "the Hopper kernels are not part of this build";

}  // namespace

bool gemm_supported(const GemmArgs&) { return false; }
size_t gemm_workspace_bytes() { return 0; }
const char* launch_gemm(const GemmArgs&, void*) { return kNotBuilt; }
bool panel_gemm_supported(const PanelGemmArgs&) { return false; }
const char* launch_panel_gemm(const PanelGemmArgs&, void*) { return kNotBuilt; }
const char* launch_quantize_rows(const QuantizeArgs&, void*) { return kNotBuilt; }
int64_t prefill_tile_tokens(int64_t, int64_t, int64_t, int64_t) { return 0; }
const char* launch_prefill_attention(const PrefillArgs&, void*) { return kNotBuilt; }

}  // namespace cove::cuda::hopper
