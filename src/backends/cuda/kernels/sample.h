#pragma once
// Draws tokens on the device, the same that compute/sampling draws on the host. Rows that need more than temperature,
// top_k, top_p and min_p (bias, masks, penalties, log probabilities) are left to the host.

#include <cstdint>

namespace cove::cuda {

struct SampleRow {
  uint64_t seed = 0;
  int64_t position = 0;
  float temperature = 1.0F;
  float top_p = 1.0F;
  float min_p = 0.0F;
  int32_t top_k = 0;   // 0 = off
  int32_t greedy = 0;  // 1: the largest logit; the rest is not looked at
  int32_t skip = 0;    // 1: the host draws this row
};

struct SampleLaunch {
  const float* logits = nullptr;  // [rows][vocab]
  int64_t rows = 0;
  int64_t vocab = 0;
  const SampleRow* params = nullptr;  // device [rows]
  int32_t* tokens = nullptr;          // device [rows]; -1: a logit is not finite
  bool operator==(const SampleLaunch&) const = default;
};
const char* launch_sample(const SampleLaunch& args, void* stream);

}  // namespace cove::cuda
