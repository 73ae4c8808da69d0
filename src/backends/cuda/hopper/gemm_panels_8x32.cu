#include "backends/cuda/hopper/panel_launch.cuh"

namespace cove::cuda::hopper {
const char* launch_panels_8x32(const PanelLaunch& launch) { return launch_panel_format<Panels8x32>(launch); }
}  // namespace cove::cuda::hopper
