#pragma once
// Greedy generation with the student itself: scores held-out prompts right after training, many at once.

#include <cstdint>
#include <vector>

#include "student/student.h"

namespace cove::trainer {

struct GenerateOptions {
  int64_t tokens_max = 512;
  int64_t sequences_at_once = 512;
  int32_t end_token = 0;
};

// One generated continuation per prompt, without the end token; cut at tokens_max or the context's end.
std::vector<std::vector<int32_t>> generate_greedy(const Student& student,
                                                  const std::vector<std::vector<int32_t>>& prompts,
                                                  const GenerateOptions& options);

}  // namespace cove::trainer
