#pragma once
// The configuration's `engine:` section (and `limits.queue_max`, `model.context_max`) as plain data; apps/ fills it,
// make_engine validates it.

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace cove::engine {

struct EngineOptions {
  double memory_fraction = 0.8;     // of the device's memory, for weights, workspace, keys and values together
  int64_t batch_window_ms = 0;      // an idle engine waits this long for company before the first step
  int64_t batch_tokens_max = 2048;  // tokens of one step
  int64_t sequences_max = 256;      // running at the same time
  std::string kv_format = "auto";   // f32, f16, bf16, fp8; auto follows the weights and never takes fp8
  bool prefix_cache = true;
  bool overlap_steps = true;     // plan and submit the next step while one runs, where the backend can
  int64_t queue_max = 1024;      // accepted but not yet running
  int64_t context_max = 0;       // 0 = the model's, or what fits in memory
  int64_t kv_tokens_max = 0;     // at most this many positions are kept; 0 = what fits (on the CPU: up to 131072)
  int64_t step_target_ms = 500;  // prompts are cut so that a step takes about this long; 0 = only batch_tokens_max cuts
  int64_t stuck_after_s = 60;    // health turns kStuck when a step takes longer
};

bool is_kv_format(std::string_view name);

// kInvalidArgument naming the key, its value and its range.
Status validate(const EngineOptions& options);

}  // namespace cove::engine
