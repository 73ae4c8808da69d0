// Chooses and launches products of weights in panels; see hopper.h for what they compute.

#include "backends/cuda/hopper/panel_gemm.h"

#include <array>
#include <optional>

namespace cove::cuda::hopper {
namespace {

constexpr int64_t kElementsMax = int64_t{1} << 31;

bool aligned(const void* pointer, uintptr_t bytes) { return reinterpret_cast<uintptr_t>(pointer) % bytes == 0; }

// The plans of the last shapes: a step asks for each weight once a layer, to build it and to launch it.
const std::optional<PanelPlan>& choose(const PanelGemmArgs& args) {
  struct Entry {
    PanelGemmShape shape{};
    int multiprocessors = 0;
    std::optional<PanelPlan> plan;
  };
  thread_local std::array<Entry, 64> entries{};
  const PanelGemmShape shape = panel_shape(args);
  const auto hash = static_cast<uint64_t>(shape.rows * 31 + shape.weight_rows * 7 + shape.padded) * 0x9E3779B97F4A7C15U;
  Entry& entry = entries[hash >> 58U];
  if (entry.shape != shape || entry.multiprocessors != args.product.multiprocessors) {
    entry = {shape, args.product.multiprocessors, plan_panels(shape, args.product.multiprocessors)};
  }
  return entry.plan;
}

}  // namespace

PanelGemmShape panel_shape(const PanelGemmArgs& args) {
  return {.rows = args.product.tokens,
          .weight_rows = args.product.weight_rows,
          .padded = args.padded,
          .bits = args.bits,
          .group = args.group};
}

bool panel_gemm_supported(const PanelGemmArgs& args) {
  const GemmArgs& product = args.product;
  if (product.tokens < 1 || product.in < 1 || product.weight_rows < 16 || product.multiprocessors < 2) return false;
  if (product.interleaved != product.swiglu || (product.swiglu && product.out_f32)) return false;
  if (product.add && (product.swiglu || product.out_f32)) return false;
  const bool known =
      (args.bits == 4 && (args.group == 32 || args.group == 128)) || (args.bits == 8 && args.group == 32);
  if (!known || args.padded % 128 != 0 || args.padded < product.in) return false;
  if (!aligned(product.x, 16) || product.x_pitch % 16 != 0 || !aligned(product.weight, 128)) return false;
  if (args.group_scale == nullptr || !aligned(args.group_scale, 16) || !aligned(product.bias, 8)) return false;
  if (product.weight_rows % 16 != 0 || product.out_features > product.weight_rows) return false;
  if (product.tokens >= kElementsMax || args.padded >= kElementsMax || product.weight_rows >= kElementsMax)
    return false;
  return choose(args).has_value();
}

const char* launch_panel_plan(const PanelLaunch& launch) {
  if (launch.args.bits == 8) return launch_panels_8x32(launch);
  return launch.args.group == 32 ? launch_panels_4x32(launch) : launch_panels_4x128(launch);
}

const char* launch_panel_gemm(const PanelGemmArgs& args, void* stream) {
  const std::optional<PanelPlan>& plan = choose(args);
  if (!plan) return "no Hopper kernel computes this product of weights in panels";
  return launch_panel_plan({.args = args, .plan = *plan, .stream = stream});
}

}  // namespace cove::cuda::hopper
