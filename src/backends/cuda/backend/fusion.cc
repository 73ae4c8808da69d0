#include "backends/cuda/backend/fusion.h"

namespace cove::cuda {
namespace {

// The norm that ends the list, if it makes the product's x.
RmsNormLaunch* norm_before(std::vector<Work>& list, const LinearLaunch& launch) {
  auto* norm = list.empty() ? nullptr : std::get_if<RmsNormLaunch>(&list.back());
  return norm != nullptr && norm->out == launch.x ? norm : nullptr;
}

}  // namespace

bool add_in_product(std::vector<Work>& list, const RmsNormLaunch& norm) {
  auto* product = list.empty() ? nullptr : std::get_if<LinearWork>(&list.back());
  if (norm.delta == nullptr || product == nullptr) return false;
  LinearLaunch& launch = product->launch;
  const WeightLayout& layout = launch.weight.layout;
  if (launch.out != norm.delta || launch.out_f32 || layout.interleaved || launch.tokens != norm.rows ||
      layout.outputs != norm.width) {
    return false;
  }
  switch (product->path) {
    case LinearPath::kVector: launch.add_to = norm.residual; return true;
    case LinearPath::kHopper:
    case LinearPath::kUnpackHopper:
    case LinearPath::kHopper8:
    case LinearPath::kHopperPanels: break;
    default: return false;
  }
  // The tile kernels add by the copy engine, which spares a long prompt two passes over delta. The kernels for fewer
  // tokens would read what they add to last of all: on an H200 that cost a step of 128 tokens more than the norm does.
  constexpr int64_t kTilesFrom = 129;
  if (launch.tokens < kTilesFrom) return false;
  if (product->path == LinearPath::kHopperPanels) {
    product->panels.product.out = norm.residual;
    product->panels.product.add = true;
    return true;
  }
  hopper::GemmArgs adding = product->gemm;
  adding.out = norm.residual;
  adding.add = true;
  if (!hopper::gemm_supported(adding)) return false;
  product->gemm = adding;
  return true;
}

void norm_in_product(std::vector<Work>& list, LinearLaunch& launch) {
  const RmsNormLaunch* norm = norm_before(list, launch);
  if (norm == nullptr || norm->delta != nullptr || !vector_can_norm(launch)) return;
  launch.x = norm->residual;
  launch.norm_scale = norm->scale;
  launch.norm_eps = norm->eps;
  list.pop_back();
}

void round_in_norm(std::vector<Work>& list, LinearWork& work) {
  RmsNormLaunch* norm = norm_before(list, work.launch);
  hopper::QuantizeArgs& activations = work.activations;
  if (norm == nullptr || norm->rounded != nullptr || activations.out_pitch % 8 != 0 || !rms_norm_can_round(*norm))
    return;
  norm->rounded = activations.out;
  norm->rounded_pitch = activations.out_pitch;
  norm->rounded_scale = activations.scale;
  norm->rounded_fp8 = activations.format == hopper::GemmFormat::kE4M3;
  activations = {};
}

}  // namespace cove::cuda
