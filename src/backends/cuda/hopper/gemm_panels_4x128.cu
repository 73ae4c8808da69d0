#include "backends/cuda/hopper/panel_launch.cuh"

namespace cove::cuda::hopper {
const char* launch_panels_4x128(const PanelLaunch& launch) { return launch_panel_format<Panels4x128>(launch); }
}  // namespace cove::cuda::hopper
