#pragma once
// Chooses how a linear layer is computed and holds what the choices need beside the weights. Used by backend.cc.

#include <memory>

#include "backends/cuda/backend/buffers.h"
#include "backends/cuda/backend/step_work.h"
#include "backends/cuda/cuda_backend.h"
#include "backends/cuda/runtime/device.h"

namespace cove::cuda {

class LinearPlanner {
 public:
  LinearPlanner(Device& device, const CudaOptions& options) : device_(&device), reproducible_(options.reproducible) {}

  // Errors: kFailedPrecondition (memory).
  Status take_workspace();
  Status reserve_for(const WeightLayout& layout);  // while weights are loaded
  // Bytes that reserve_for takes for this layer alone.
  uint64_t bytes_for(const WeightLayout& layout) const;
  // Fills in path and what it needs; work.launch is given.
  void plan(LinearWork& work) const;

 private:
  bool wants_rounded(const WeightLayout& layout) const;
  bool wants_unpacked(const WeightLayout& layout) const;
  bool plan_8_bit(const LinearLaunch& launch, hopper::GemmArgs& gemm, hopper::QuantizeArgs& activations) const;
  hopper::PanelGemmArgs panel_gemm(const LinearLaunch& launch) const;
  hopper::GemmArgs hopper_gemm(const LinearLaunch& launch) const;
  bool use_hopper(const hopper::GemmArgs& gemm) const;

  Device* device_;
  bool reproducible_;
  std::unique_ptr<CudaBuffer> hopper_workspace_;
  std::unique_ptr<CudaBuffer> unpacked_;  // bf16, of the largest quantised weight
  std::unique_ptr<CudaBuffer> rounded_;   // activations in 8 bits, then their scales; for the 8-bit products of hopper/
};

}  // namespace cove::cuda
