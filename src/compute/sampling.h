#pragma once
// Sampling: what a row of logits becomes. The host implementation here is the definition; every backend's `sample` must
// give the same token from the same logits. Random numbers come from Philox4x32-10 keyed by (seed, position), so that a
// draw depends on nothing else: not on the batch, not on what was drawn before.

#include <cstdint>
#include <span>
#include <vector>

#include "compute/sampling_math.h"

namespace cove {

struct TokenCount {
  int32_t token = 0;
  int32_t count = 0;
};
struct LogitBias {
  int32_t token = 0;
  float bias = 0;
};

// How one row is sampled. Order of operations (as in vLLM and Hugging Face): bias, allowed mask, repetition penalty,
// frequency and presence penalty, temperature, top_k, top_p, min_p, draw.
struct SampleParams {
  float temperature = 1.0F;  // 0 = greedy: the largest logit, the smallest id among equals
  int32_t top_k = 0;         // 0 = off
  float top_p = 1.0F;
  float min_p = 0.0F;  // relative to the largest probability
  float repetition_penalty = 1.0F;
  float presence_penalty = 0.0F;
  float frequency_penalty = 0.0F;
  uint64_t seed = 0;
  int64_t position = 0;                         // of the token being drawn, counted from the beginning of the sequence
  std::span<const TokenCount> output_counts{};  // generated so far; presence, frequency and repetition use it
  std::span<const int32_t> prompt_tokens{};     // repetition penalty also covers these
  std::span<const LogitBias> logit_bias{};
  std::span<const uint32_t> allowed{};  // bit i = token i may be drawn; empty = all may
  int32_t top_logprobs = -1;            // -1 = no logprobs; 0 = the drawn token's only; N = N alternatives
};

// Whether logits, numbers and position decide the draw: no bias, mask or penalty, no log probabilities to report. A
// backend elsewhere can then draw, and feed the token to the next step, without the host.
bool draws_unaided(const SampleParams& params);

struct TokenLogprob {
  int32_t token = 0;
  float logprob = 0;
};

struct SampleResult {
  int32_t token = 0;
  float logprob = 0;                // natural log under the model's own distribution (softmax of the raw logits)
  std::vector<TokenLogprob> top{};  // descending, top_logprobs of them
};

// Reused between rows so that sampling allocates nothing in the steady state. Not thread-safe: one per thread.
struct SampleScratch {
  std::vector<float> values{};    // [vocab] adjusted logits, then weights
  std::vector<int32_t> order{};   // candidates while a cut is searched
  std::vector<uint64_t> seen{};   // one bit per token, all 0 between rows
  std::vector<double> masses{};   // partial sums
  std::vector<int64_t> counts{};  // histogram
};

// A temperature below this is greedy: dividing by it would overflow.
inline constexpr float kGreedyTemperature = 1e-5F;

// logits [vocab] f32, not changed. A row that holds a NaN or an infinity gives token -1: the caller ends the request
// with an error; so does a mask that allows nothing. Exactly: ties go to the smaller id; top_k keeps exactly k; top_p
// keeps the shortest prefix of the sorted remaining tokens whose probability reaches top_p; min_p keeps weights >=
// min_p times the largest; the draw walks the remaining tokens in id order until their weights exceed uniform * total.
// `logprob` and `top` are filled only when top_logprobs >= 0.
SampleResult sample_row(std::span<const float> logits, const SampleParams& params, SampleScratch& scratch);

}  // namespace cove
