#include "engine/options.h"

#include <fmt/format.h>

namespace cove::engine {
namespace {

Status in_range(std::string_view key, int64_t value, int64_t low, int64_t high) {
  if (value >= low && value <= high) return {};
  return invalid_argument(fmt::format("{} is {}, must be from {} to {}", key, value, low, high));
}

}  // namespace

bool is_kv_format(std::string_view name) {
  return name == "auto" || name == "f32" || name == "f16" || name == "bf16" || name == "fp8";
}

Status validate(const EngineOptions& options) {
  if (!(options.memory_fraction > 0.0 && options.memory_fraction <= 1.0)) {
    return invalid_argument(
        fmt::format("engine.memory_fraction is {}, must be above 0 and at most 1", options.memory_fraction));
  }
  TRY(in_range("engine.batch_window_ms", options.batch_window_ms, 0, 10'000));
  TRY(in_range("engine.batch_tokens_max", options.batch_tokens_max, 1, 1 << 20));
  TRY(in_range("engine.sequences_max", options.sequences_max, 1, 1 << 16));
  TRY(in_range("limits.queue_max", options.queue_max, 1, 1 << 24));
  TRY(in_range("model.context_max", options.context_max, 0, int64_t{1} << 31));
  TRY(in_range("engine.kv_tokens_max", options.kv_tokens_max, 0, int64_t{1} << 40));
  TRY(in_range("engine.step_target_ms", options.step_target_ms, 0, 600'000));
  TRY(in_range("engine.stuck_after_s", options.stuck_after_s, 1, 86'400));
  if (!is_kv_format(options.kv_format)) {
    return invalid_argument(
        fmt::format("engine.kv_format is '{}', must be auto, f32, f16, bf16 or fp8", options.kv_format));
  }
  return {};
}

}  // namespace cove::engine
