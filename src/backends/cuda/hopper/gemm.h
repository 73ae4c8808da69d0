#pragma once
// Matrix products with a plan of the caller's choice: for tests and measurements, beside launch_gemm of hopper.h.

#include "backends/cuda/hopper/hopper.h"
#include "backends/cuda/hopper/plan/gemm_plan.h"

namespace cove::cuda::hopper {

GemmShape gemm_shape(const GemmArgs& args);

// As launch_gemm. The plan is plan_gemm_with's for gemm_shape(args). A tile kernel writes bf16 only into rows that are
// multiples of 16 bytes.
const char* launch_gemm_plan(const GemmArgs& args, const GemmPlan& plan, void* stream);

}  // namespace cove::cuda::hopper
