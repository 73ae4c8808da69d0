#pragma once
// Draws tokens on the device, the same that compute/sampling draws on the host. Rows that need more than temperature,
// top_k, top_p and min_p (bias, masks, penalties, log probabilities) are left to the host.

#include <cstddef>
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

constexpr bool cuts_by_count(const SampleRow& row, int64_t vocab) { return row.top_k > 0 && row.top_k < vocab; }
// Whether every token's weight is needed before one can be drawn.
constexpr bool needs_every_weight(const SampleRow& row, int64_t vocab) {
  return row.skip == 0 && row.greedy == 0 && !cuts_by_count(row, vocab);
}

// Whether its nucleus is sought among all tokens.
constexpr bool cuts_by_mass(const SampleRow& row, int64_t vocab) {
  return needs_every_weight(row, vocab) && row.top_p < 1.0F;
}

struct SampleLaunch {
  const float* logits = nullptr;  // [rows][vocab]
  int64_t rows = 0;
  int64_t vocab = 0;                  // at most kSampleVocabMax
  const SampleRow* params = nullptr;  // device [rows]
  bool weighs = true;                 // false only if no row needs_every_weight
  bool cuts = true;                   // false only if no row cuts_by_mass
  int32_t* tokens = nullptr;          // device [rows]; -1: a logit is not finite
  void* scratch = nullptr;            // device, aligned to 256; nothing is kept there from launch to launch
  size_t scratch_bytes = 0;           // sample_scratch_bytes() or more: then more rows are drawn at once
  bool operator==(const SampleLaunch&) const = default;
};
const char* launch_sample(const SampleLaunch& args, void* stream);

constexpr int64_t kSampleVocabMax = 500'000;
size_t sample_scratch_bytes(int64_t vocab);  // for one row

}  // namespace cove::cuda
