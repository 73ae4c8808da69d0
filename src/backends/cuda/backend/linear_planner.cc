#include "backends/cuda/backend/linear_planner.h"

namespace cove::cuda {
namespace {

// 8-bit activations of one product: 3 000 tokens of the widest layer of a 7B model; more take another path.
constexpr size_t kRoundedBytes = size_t{64} << 20;

size_t unpacked_bytes(const WeightLayout& layout) { return static_cast<size_t>(layout.rows * layout.padded * 2); }

}  // namespace

Status LinearPlanner::take_workspace() {
  TRY_ASSIGN(hopper_workspace_, CudaBuffer::make(*device_, hopper::gemm_workspace_bytes()));
  device_->clear(hopper_workspace_->data(), hopper_workspace_->bytes());
  return device_->synchronize();
}

bool LinearPlanner::wants_rounded(const WeightLayout& layout) const {
  return layout.has_row_scales() && device_->facts().compute_major == 9 && !reproducible_;
}

bool LinearPlanner::wants_unpacked(const WeightLayout& layout) const {
  return layout.format != WeightFormat::kBF16 && !reproducible_;
}

uint64_t LinearPlanner::bytes_for(const WeightLayout& layout) const {
  return (wants_rounded(layout) ? kRoundedBytes : 0) + (wants_unpacked(layout) ? unpacked_bytes(layout) : 0);
}

Status LinearPlanner::reserve_for(const WeightLayout& layout) {
  if (wants_rounded(layout) && !rounded_) {
    TRY_ASSIGN(rounded_, CudaBuffer::make(*device_, kRoundedBytes));
  }
  const size_t bytes = unpacked_bytes(layout);
  if (!wants_unpacked(layout) || (unpacked_ && unpacked_->bytes() >= bytes)) return {};
  unpacked_ = nullptr;
  TRY_ASSIGN(unpacked_, CudaBuffer::make(*device_, bytes));
  return {};
}

hopper::GemmArgs LinearPlanner::hopper_gemm(const LinearLaunch& launch) const {
  const WeightLayout& layout = launch.weight.layout;
  return {.format = hopper::GemmFormat::kBF16,
          .x = launch.x,
          .x_pitch = layout.inputs * 2,
          .weight = launch.weight.weight,
          .weight_pitch = layout.padded * 2,
          .bias = launch.weight.bias,
          .tokens = launch.tokens,
          .in = layout.inputs,
          .weight_rows = layout.rows,
          .out_features = layout.outputs,
          .interleaved = layout.interleaved,
          .swiglu = launch.swiglu,
          .out = launch.out,
          .out_f32 = launch.out_f32,
          .workspace = hopper_workspace_->data(),
          .multiprocessors = device_->facts().multiprocessors};
}

hopper::PanelGemmArgs LinearPlanner::panel_gemm(const LinearLaunch& launch) const {
  const WeightLayout& layout = launch.weight.layout;
  return {.product = hopper_gemm(launch),
          .bits = layout.format == WeightFormat::kQ4 ? 4 : 8,
          .group = layout.group,
          .padded = layout.padded,
          .group_scale = launch.weight.group_scale};
}

bool LinearPlanner::use_hopper(const hopper::GemmArgs& gemm) const {
  return device_->facts().compute_major == 9 && hopper::gemm_supported(gemm);
}

// Both factors in 8 bits. False: hopper/ does not take it, or the activations are too many.
bool LinearPlanner::plan_8_bit(const LinearLaunch& launch, hopper::GemmArgs& gemm,
                               hopper::QuantizeArgs& activations) const {
  const WeightLayout& layout = launch.weight.layout;
  if (!layout.has_row_scales() || rounded_ == nullptr) return false;
  const int64_t values = launch.tokens * layout.padded;
  if (static_cast<size_t>(values + launch.tokens * 4) > rounded_->bytes()) return false;
  auto* scales = reinterpret_cast<float*>(static_cast<std::byte*>(rounded_->data()) + values);  // padded to 128 bytes
  gemm = hopper_gemm(launch);
  gemm.format = layout.format == WeightFormat::kE4M3 ? hopper::GemmFormat::kE4M3 : hopper::GemmFormat::kInt8;
  gemm.x = rounded_->data();
  gemm.x_pitch = layout.padded;
  gemm.x_scale = scales;
  gemm.weight_pitch = layout.pitch;
  gemm.weight_scale = launch.weight.row_scale;
  activations = {.x = launch.x,
                 .x_pitch = layout.inputs * 2,
                 .out = rounded_->data(),
                 .out_pitch = layout.padded,
                 .scale = scales,
                 .tokens = launch.tokens,
                 .in = layout.inputs,
                 .format = gemm.format};
  return use_hopper(gemm);
}

void LinearPlanner::plan(LinearWork& work) const {
  const WeightLayout& layout = work.launch.weight.layout;
  // The shortest way for the steps that come most often: these paths are taken whatever hopper/ can do.
  work.path = choose_linear({.format = layout.format,
                             .tokens = work.launch.tokens,
                             .reproducible = reproducible_,
                             .hopper = true,
                             .hopper8 = layout.has_row_scales(),
                             .panels = layout.group > 0});
  if (work.path == LinearPath::kVector || work.path == LinearPath::kSkinny) return;
  hopper::GemmArgs gemm = hopper_gemm(work.launch);
  if (layout.format != WeightFormat::kBF16 && unpacked_) {
    work.unpacked = unpacked_->data();
    gemm.weight = work.unpacked;
  }
  hopper::GemmArgs gemm8;
  hopper::QuantizeArgs activations;
  const bool has_8_bit = plan_8_bit(work.launch, gemm8, activations);
  const hopper::PanelGemmArgs panels = panel_gemm(work.launch);
  const bool on_hopper = device_->facts().compute_major == 9;
  work.path = choose_linear({.format = layout.format,
                             .tokens = work.launch.tokens,
                             .reproducible = reproducible_,
                             .hopper = use_hopper(gemm),
                             .hopper8 = has_8_bit,
                             .panels = layout.group > 0 && on_hopper && hopper::panel_gemm_supported(panels)});
  if (work.path == LinearPath::kHopperPanels) work.panels = panels;
  if (work.path == LinearPath::kHopper || work.path == LinearPath::kUnpackHopper) work.gemm = gemm;
  if (work.path == LinearPath::kHopper8) {
    work.gemm = gemm8;
    work.activations = activations;
  }
}

}  // namespace cove::cuda
