#pragma once
// Mixes the tasks: sample i of a seed is always the same, whatever was drawn before. Stateless; any thread.

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "tasks/sample.h"

namespace cove::trainer {

struct TaskRow {
  std::string_view name;
  Sample (*draw)(const Draw&);
  int weight;  // share of the training mix, in percent
};

const std::vector<TaskRow>& task_rows();

// A sample of the training mix.
Sample training_sample(uint64_t seed, uint64_t index);
// A sample of one task in one language that no training sample repeats (same key, same prompt numbers).
Sample heldout_sample(const TaskRow& task, Language language, uint64_t seed, uint64_t index);

}  // namespace cove::trainer
