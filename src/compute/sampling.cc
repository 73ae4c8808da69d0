#include "compute/sampling.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "base/check.h"

namespace cove {
namespace {

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();
constexpr size_t kLanes = 16;   // independent partial results, so that compilers vectorise without reordering sums
constexpr size_t kBlock = 256;  // weights are summed per block; the draw walks blocks, then one block

// The largest value, and whether all values are finite. [n] f32.
struct RowFacts {
  float max = kMinusInfinity;
  bool finite = true;
};

RowFacts row_facts(std::span<const float> row) {
  float max[kLanes];
  uint32_t bad[kLanes] = {};
  std::fill_n(max, kLanes, kMinusInfinity);
  size_t i = 0;
  for (; i + kLanes <= row.size(); i += kLanes) {
    for (size_t j = 0; j < kLanes; ++j) {
      const float value = row[i + j];
      max[j] = value > max[j] ? value : max[j];
      bad[j] |= (std::bit_cast<uint32_t>(value) & 0x7f800000U) == 0x7f800000U ? 1U : 0U;
    }
  }
  RowFacts facts;
  for (; i < row.size(); ++i) {
    facts.max = std::max(facts.max, row[i]);
    facts.finite = facts.finite && std::isfinite(row[i]);
  }
  for (size_t j = 0; j < kLanes; ++j) {
    facts.max = std::max(facts.max, max[j]);
    facts.finite = facts.finite && bad[j] == 0;
  }
  return facts;
}

// values[i] becomes its weight e^(values[i] - max).
void to_weights(std::span<float> values, float max) {
  for (float& value : values) value = exp_weight(value - max);
}

double block_sum(std::span<const float> block) {
  double lanes[kLanes] = {};
  size_t i = 0;
  for (; i + kLanes <= block.size(); i += kLanes) {
    for (size_t j = 0; j < kLanes; ++j) lanes[j] += static_cast<double>(block[i + j]);
  }
  double sum = 0;
  for (; i < block.size(); ++i) sum += static_cast<double>(block[i]);
  for (const double lane : lanes) sum += lane;
  return sum;
}

// ln of the sum of e^logit, in double.
double log_sum_exp(std::span<const float> logits, float max) {
  double sum = 0;
  std::array<float, kBlock> block;
  for (size_t begin = 0; begin < logits.size(); begin += kBlock) {
    const size_t count = std::min(kBlock, logits.size() - begin);
    for (size_t i = 0; i < count; ++i) block[i] = exp_weight(logits[begin + i] - max);
    sum += block_sum(std::span(block).first(count));
  }
  return static_cast<double>(max) + std::log(sum);
}

// --- Adjustments: logits to values, in the order that SampleParams states ---

void apply_allowed(std::span<const uint32_t> allowed, std::span<float> values) {
  COVE_CHECK(allowed.size() * 32 >= values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    if ((allowed[i / 32] >> (i % 32) & 1U) == 0) values[i] = kMinusInfinity;
  }
}

void penalise_repetition(const SampleParams& params, std::span<float> values, std::vector<uint64_t>& seen) {
  seen.resize(std::max(seen.size(), values.size() / 64 + 1));
  const auto penalise = [&](int32_t token) {
    const auto i = static_cast<size_t>(token);
    COVE_CHECK(i < values.size());
    uint64_t& word = seen[i / 64];
    const uint64_t bit = uint64_t{1} << (i % 64);
    if ((word & bit) != 0) return;
    word |= bit;
    float& value = values[i];
    value = value > 0 ? value / params.repetition_penalty : value * params.repetition_penalty;
  };
  for (const int32_t token : params.prompt_tokens) penalise(token);
  for (const TokenCount& entry : params.output_counts) penalise(entry.token);
  for (const int32_t token : params.prompt_tokens) seen[static_cast<size_t>(token) / 64] = 0;
  for (const TokenCount& entry : params.output_counts) seen[static_cast<size_t>(entry.token) / 64] = 0;
}

bool needs_adjusting(const SampleParams& params) {
  return !params.logit_bias.empty() || !params.allowed.empty() || params.repetition_penalty != 1.0F ||
         params.presence_penalty != 0.0F || params.frequency_penalty != 0.0F;
}

void adjust(const SampleParams& params, std::span<float> values, SampleScratch& scratch) {
  for (const LogitBias& entry : params.logit_bias) {
    COVE_CHECK(entry.token >= 0 && static_cast<size_t>(entry.token) < values.size());
    values[static_cast<size_t>(entry.token)] += entry.bias;
  }
  if (!params.allowed.empty()) apply_allowed(params.allowed, values);
  if (params.repetition_penalty != 1.0F) penalise_repetition(params, values, scratch.seen);
  if (params.presence_penalty == 0.0F && params.frequency_penalty == 0.0F) return;
  for (const TokenCount& entry : params.output_counts) {
    if (entry.count <= 0) continue;
    values[static_cast<size_t>(entry.token)] -=
        params.frequency_penalty * static_cast<float>(entry.count) + params.presence_penalty;
  }
}

// --- Cuts: which tokens remain. A cut is the last remaining one in the order (value descending, id ascending) ---

struct Cut {
  float value = kMinusInfinity;
  int32_t token = std::numeric_limits<int32_t>::max();
};

// Buckets by distance from the largest value, so that only one bucket need be sorted. Monotone in the value:
// subtraction and multiplication round monotonically.
constexpr size_t kBuckets = 2048;
constexpr float kBucketsPerUnit = 64.0F;

inline size_t bucket_of(float value, float max) {
  const float distance = (max - value) * kBucketsPerUnit;
  return distance < static_cast<float>(kBuckets - 1) ? static_cast<size_t>(distance) : kBuckets - 1;
}

// The members of one bucket, best first.
void gather_bucket(std::span<const float> values, float max, size_t bucket, std::vector<int32_t>& order) {
  order.clear();
  for (size_t i = 0; i < values.size(); ++i) {
    if (values[i] != kMinusInfinity && bucket_of(values[i], max) == bucket) order.push_back(static_cast<int32_t>(i));
  }
}

struct BetterFirst {
  std::span<const float> values;
  bool operator()(int32_t a, int32_t b) const {
    const float left = values[static_cast<size_t>(a)];
    const float right = values[static_cast<size_t>(b)];
    return left != right ? left > right : a < b;
  }
};

bool remains(std::span<const float> values, size_t i, const Cut& cut) {
  return values[i] > cut.value || (values[i] == cut.value && static_cast<int32_t>(i) <= cut.token);
}

Cut cut_top_k(std::span<const float> values, float max, int64_t top_k, SampleScratch& scratch) {
  scratch.counts.assign(kBuckets, 0);
  for (const float value : values) {
    if (value != kMinusInfinity) ++scratch.counts[bucket_of(value, max)];
  }
  int64_t before = 0;
  size_t bucket = 0;
  while (bucket < kBuckets && before + scratch.counts[bucket] < top_k) before += scratch.counts[bucket++];
  if (bucket == kBuckets) return {};  // fewer than k tokens are allowed at all
  gather_bucket(values, max, bucket, scratch.order);
  const auto kth = scratch.order.begin() + (top_k - before - 1);
  std::nth_element(scratch.order.begin(), kth, scratch.order.end(), BetterFirst{values});
  return {.value = values[static_cast<size_t>(*kth)], .token = *kth};
}

Cut cut_top_p(std::span<const float> values, float max, double top_p, const Cut& top_k, SampleScratch& scratch) {
  scratch.masses.assign(kBuckets, 0.0);
  for (size_t i = 0; i < values.size(); ++i) {
    if (values[i] == kMinusInfinity || !remains(values, i, top_k)) continue;
    scratch.masses[bucket_of(values[i], max)] += static_cast<double>(exp_weight(values[i] - max));
  }
  double total = 0;
  for (const double mass : scratch.masses) total += mass;
  const double wanted = top_p * total;
  double reached = 0;
  size_t bucket = 0;
  while (bucket < kBuckets && reached + scratch.masses[bucket] < wanted) reached += scratch.masses[bucket++];
  if (bucket == kBuckets) return top_k;  // rounding only
  gather_bucket(values, max, bucket, scratch.order);
  std::sort(scratch.order.begin(), scratch.order.end(), BetterFirst{values});
  for (const int32_t token : scratch.order) {
    const auto i = static_cast<size_t>(token);
    if (!remains(values, i, top_k)) break;
    reached += static_cast<double>(exp_weight(values[i] - max));
    if (reached >= wanted) return {.value = values[i], .token = token};
  }
  return top_k;
}

// --- Choosing ---

int32_t first_index_of(std::span<const float> values, float wanted) {
  const auto found = std::find(values.begin(), values.end(), wanted);
  return found == values.end() ? -1 : static_cast<int32_t>(found - values.begin());
}

// Walks a block until the weights so far exceed `target`; its last token with a weight, should rounding carry the walk
// past the end.
int32_t draw_in_block(std::span<const float> weights, size_t begin, double reached, double target) {
  int32_t token = -1;
  const size_t end = std::min(begin + kBlock, weights.size());
  for (size_t i = begin; i < end && (token < 0 || reached <= target); ++i) {
    if (weights[i] <= 0) continue;
    reached += static_cast<double>(weights[i]);
    token = static_cast<int32_t>(i);
  }
  return token;
}

// weights [vocab] >= 0, at least one above 0.
int32_t draw(std::span<const float> weights, float uniform, std::vector<double>& sums) {
  sums.clear();
  double total = 0;
  size_t last_block = 0;  // with a weight in it
  for (size_t begin = 0; begin < weights.size(); begin += kBlock) {
    sums.push_back(block_sum(weights.subspan(begin, std::min(kBlock, weights.size() - begin))));
    total += sums.back();
    if (sums.back() > 0) last_block = sums.size() - 1;
  }
  const double target = static_cast<double>(uniform) * total;
  double reached = 0;
  size_t block = 0;
  while (block < last_block && reached + sums[block] <= target) reached += sums[block++];
  return draw_in_block(weights, block * kBlock, reached, target);
}

int32_t draw_with_cuts(const SampleParams& params, std::span<float> values, float max, SampleScratch& scratch) {
  Cut cut;
  const bool top_k = params.top_k > 0 && static_cast<size_t>(params.top_k) < values.size();
  if (top_k) cut = cut_top_k(values, max, params.top_k, scratch);
  if (params.top_p < 1.0F) cut = cut_top_p(values, max, static_cast<double>(params.top_p), cut, scratch);
  if (cut.value == kMinusInfinity) {
    to_weights(values, max);
  } else {
    for (size_t i = 0; i < values.size(); ++i) {
      const float weight = exp_weight(values[i] - max);
      values[i] = remains(values, i, cut) ? weight : 0.0F;
    }
  }
  if (params.min_p > 0.0F) {
    for (float& weight : values) weight = weight < params.min_p ? 0.0F : weight;  // the largest weight is exactly 1
  }
  return draw(values, philox_uniform(params.seed, params.position), scratch.masses);
}

int32_t choose(std::span<const float> logits, float logits_max, const SampleParams& params, SampleScratch& scratch) {
  const bool greedy = params.temperature < kGreedyTemperature;
  const bool adjusted = needs_adjusting(params);
  if (greedy && !adjusted) return first_index_of(logits, logits_max);

  scratch.values.assign(logits.begin(), logits.end());
  const std::span<float> values = scratch.values;
  float max = logits_max;
  if (adjusted) {
    adjust(params, values, scratch);
    max = row_facts(values).max;
    if (!std::isfinite(max)) return -1;
  }
  if (greedy) return first_index_of(values, max);
  for (float& value : values) value /= params.temperature;
  return draw_with_cuts(params, values, max / params.temperature, scratch);
}

// The `count` largest logits, best first, ties to the smaller id.
void find_top(std::span<const float> logits, size_t count, std::vector<int32_t>& order) {
  order.clear();
  const BetterFirst better{logits};
  for (size_t i = 0; i < logits.size(); ++i) {
    const auto token = static_cast<int32_t>(i);
    if (order.size() == count) {
      if (count == 0 || !better(token, order.back())) continue;
      order.pop_back();
    }
    order.insert(std::upper_bound(order.begin(), order.end(), token, better), token);
  }
}

}  // namespace

bool draws_unaided(const SampleParams& params) {
  return params.logit_bias.empty() && params.allowed.empty() && params.repetition_penalty == 1.0F &&
         params.presence_penalty == 0.0F && params.frequency_penalty == 0.0F && params.top_logprobs < 0;
}

SampleResult sample_row(std::span<const float> logits, const SampleParams& params, SampleScratch& scratch) {
  SampleResult result;
  const RowFacts facts = row_facts(logits);
  result.token = facts.finite && !logits.empty() ? choose(logits, facts.max, params, scratch) : -1;
  if (result.token < 0 || params.top_logprobs < 0) return result;
  const double total = log_sum_exp(logits, facts.max);
  const auto logprob = [&](int32_t token) {
    return static_cast<float>(static_cast<double>(logits[static_cast<size_t>(token)]) - total);
  };
  result.logprob = logprob(result.token);
  find_top(logits, static_cast<size_t>(params.top_logprobs), scratch.order);
  for (const int32_t token : scratch.order) result.top.push_back({.token = token, .logprob = logprob(token)});
  return result;
}

}  // namespace cove
