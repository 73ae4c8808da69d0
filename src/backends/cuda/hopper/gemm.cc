// Chooses and launches matrix products; see hopper.h for what they compute.

#include "backends/cuda/hopper/gemm.h"

#include <optional>

#include "backends/cuda/hopper/gemm_launch.h"
#include "backends/cuda/hopper/plan/plan_memo.h"

namespace cove::cuda::hopper {

namespace {

// Fewer tokens are a matrix-vector product: the portable kernels read each weight once as well, and start sooner.
constexpr int64_t kTokensMin = 3;
constexpr int64_t kElementsMax = int64_t{1} << 31;

bool aligned(const void* pointer, uintptr_t bytes) { return reinterpret_cast<uintptr_t>(pointer) % bytes == 0; }

int64_t out_width(const GemmArgs& args) { return args.swiglu ? args.out_features / 2 : args.out_features; }

// The copy engine writes bf16 outputs of the tile kernels: 16 bytes at a time.
bool tiles_can_write(const GemmArgs& args) {
  return args.out_f32 ? aligned(args.out, 8) : aligned(args.out, 16) && out_width(args) % 8 == 0;
}

// Asked once to build a step and once to launch it, for every weight of every layer.
const std::optional<GemmPlan>& choose(const GemmArgs& args) {
  thread_local PlanMemo memo;
  const GemmShape shape = gemm_shape(args);
  const bool streams_only = !tiles_can_write(args);
  return memo.get(shape, args.multiprocessors, streams_only, [&]() -> std::optional<GemmPlan> {
    if (streams_only) return plan_stream_gemm(shape, args.multiprocessors);
    return plan_gemm(shape, args.multiprocessors);
  });
}

template <class Format>
const char* launch_format(const GemmLaunch& launch) {
  return is_stream(launch.plan.kernel) ? launch_stream<Format>(launch) : launch_tiles<Format>(launch);
}

}  // namespace

GemmShape gemm_shape(const GemmArgs& args) {
  return {.rows = args.tokens,
          .weight_rows = args.weight_rows,
          .in = args.in,
          .element_bytes = args.format == GemmFormat::kBF16 ? 2 : 1};
}

bool gemm_supported(const GemmArgs& args) {
  const bool scaled = args.format != GemmFormat::kBF16;
  if (args.tokens < kTokensMin || args.in < 1 || args.weight_rows < 1 || args.multiprocessors < 2) return false;
  if (args.interleaved != args.swiglu || (args.swiglu && args.out_f32)) return false;
  if (args.add && (args.swiglu || args.out_f32)) return false;
  if (scaled && (args.x_scale == nullptr || !aligned(args.weight_scale, 8) || args.weight_scale == nullptr)) {
    return false;
  }
  if (!aligned(args.x, 16) || args.x_pitch % 16 != 0 || !aligned(args.weight, 128) || args.weight_pitch % 16 != 0) {
    return false;
  }
  if (!aligned(args.bias, 8) || args.weight_rows % 16 != 0 || args.out_features > args.weight_rows) return false;
  if (args.tokens >= kElementsMax || args.in >= kElementsMax || args.weight_rows >= kElementsMax) return false;
  return choose(args).has_value();
}

size_t gemm_workspace_bytes() { return kWorkspaceBytes; }

const char* launch_gemm_plan(const GemmArgs& args, const GemmPlan& plan, void* stream) {
  const GemmLaunch launch{.args = args, .plan = plan, .stream = stream};
  switch (args.format) {
    case GemmFormat::kBF16: return launch_format<Bf16>(launch);
    case GemmFormat::kE4M3: return launch_format<E4m3>(launch);
    case GemmFormat::kInt8: return launch_format<Int8>(launch);
  }
  return "unknown format of a matrix product";
}

const char* launch_gemm(const GemmArgs& args, void* stream) {
  const std::optional<GemmPlan>& plan = choose(args);
  if (!plan) return "no Hopper kernel computes this matrix product";
  return launch_gemm_plan(args, *plan, stream);
}

}  // namespace cove::cuda::hopper
