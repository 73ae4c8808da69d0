#pragma once
// What goes into the device's memory, decided before anything is loaded: weights, workspace, and pages of keys and
// values from what is left. Pure arithmetic. Called by make_engine, `cove doctor` and `cove plan`.

#include <cstdint>
#include <string>

#include "base/result.h"

namespace cove::engine {

struct MemoryDemand {
  uint64_t memory_total = 0;     // of the device, bytes; 0 = the backend sets no limit (reference)
  uint64_t memory_free = 0;      // now, before loading
  double memory_fraction = 0.8;  // of the total that may be used
  uint64_t weight_bytes = 0;
  uint64_t workspace_bytes = 0;
  uint64_t page_bytes = 0;
  int64_t page_tokens = 16;
  int64_t sequences_max = 1;
  int64_t context_model = 0;   // positions the model was made for
  int64_t context_wanted = 0;  // 0 = the model's, or what fits
  int64_t kv_tokens_max = 0;   // 0 = no limit but memory
};

struct MemoryPlan {
  int64_t pages = 0;
  int64_t context_max = 0;  // tokens of one sequence; smaller than the model's when memory binds and none was asked for
  uint64_t weight_bytes = 0;
  uint64_t workspace_bytes = 0;
  uint64_t kv_bytes = 0;
  uint64_t budget_bytes = 0;
};

// kFailedPrecondition with what is needed, what there is, and what to change; kInvalidArgument when the context asked
// for is longer than the model's.
Result<MemoryPlan> plan_memory(const MemoryDemand& demand);

std::string format_bytes(uint64_t bytes);  // "1.5 GB" (decimal units)

}  // namespace cove::engine
