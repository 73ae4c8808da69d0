#pragma once
// Mixes the tasks: sample i of a seed is always the same, whatever was drawn before. Stateless; any thread.

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "tasks/sample.h"

namespace cove::trainer {

struct TaskRow {
  std::string_view name;
  Sample (*draw)(const Draw&);
  int weight;  // default share of the training mix, in percent
};

const std::vector<TaskRow>& task_rows();

// Shares of the tasks, one per row of task_rows(); they need not add up to 100.
using TaskMix = std::vector<int>;
TaskMix default_mix();
// "comparison:30,table:20": these shares, and the default ones for the tasks that are not named. Errors:
// kInvalidArgument for an unknown task, a share that is no whole number from 0 to 10000, or nothing but zeros.
Result<TaskMix> parse_mix(std::string_view text);

// A sample of the training mix.
Sample training_sample(uint64_t seed, uint64_t index, const TaskMix& mix = default_mix());
// A sample of one task in one language that no training sample repeats (same key, same prompt numbers).
Sample heldout_sample(const TaskRow& task, Language language, uint64_t seed, uint64_t index);

}  // namespace cove::trainer
