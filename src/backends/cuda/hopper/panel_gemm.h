#pragma once
// Between panel_gemm.cc, which chooses, and the translation units that hold the kernels of one format each; and
// products with a plan of the caller's choice, for tests and measurements. No CUDA types.

#include "backends/cuda/hopper/hopper.h"
#include "backends/cuda/hopper/plan/panel_plan.h"

namespace cove::cuda::hopper {

PanelGemmShape panel_shape(const PanelGemmArgs& args);

struct PanelLaunch {
  PanelGemmArgs args{};
  PanelPlan plan{};
  void* stream = nullptr;
};

// Null, or the error's text. As launch_panel_gemm; the plan is one of panel_plans' for panel_shape(args).
const char* launch_panel_plan(const PanelLaunch& launch);

const char* launch_panels_4x128(const PanelLaunch& launch);
const char* launch_panels_4x32(const PanelLaunch& launch);
const char* launch_panels_8x32(const PanelLaunch& launch);

}  // namespace cove::cuda::hopper
