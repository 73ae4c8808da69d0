#include "compute/sampling.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>

#include <gtest/gtest.h>

namespace cove {
namespace {

using Row = std::vector<float>;

int32_t sample(const Row& logits, const SampleParams& params) {
  SampleScratch scratch;
  return sample_row(logits, params, scratch).token;
}

Row random_row(size_t vocab, uint32_t seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal(0.0F, 3.0F);
  Row row(vocab);
  for (float& value : row) value = normal(generator);
  return row;
}

// The definition, the slow way: sort everything, cut, draw in id order.
std::vector<double> naive_distribution(const Row& logits, const SampleParams& params) {
  std::vector<double> values(logits.begin(), logits.end());
  for (double& value : values) value /= static_cast<double>(params.temperature);
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return values[a] > values[b]; });
  if (params.top_k > 0) order.resize(std::min(order.size(), static_cast<size_t>(params.top_k)));
  std::vector<double> weights(values.size(), 0.0);
  double total = 0;
  for (const size_t i : order) total += std::exp(values[i] - values[order[0]]);
  double reached = 0;
  for (const size_t i : order) {
    const double weight = std::exp(values[i] - values[order[0]]);
    if (reached < static_cast<double>(params.top_p) * total && weight >= static_cast<double>(params.min_p)) {
      weights[i] = weight;
    }
    reached += weight;
  }
  const double kept = std::accumulate(weights.begin(), weights.end(), 0.0);
  for (double& weight : weights) weight /= kept;
  return weights;
}

int32_t naive_draw(const std::vector<double>& probabilities, double uniform) {
  double reached = 0;
  int32_t last = -1;
  for (size_t i = 0; i < probabilities.size(); ++i) {
    if (probabilities[i] == 0) continue;
    last = static_cast<int32_t>(i);
    reached += probabilities[i];
    if (reached > uniform) break;
  }
  return last;
}

// Known answers of the Random123 library (kat_vectors, philox4x32-10).
TEST(Philox, gives_the_published_answers) {
  using Words = std::array<uint32_t, 4>;
  EXPECT_EQ(philox4x32({0, 0, 0, 0}, {0, 0}), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox4x32({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}),
            (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Philox, uniform_is_in_the_half_open_unit_interval_and_even) {
  constexpr int kDraws = 100'000;
  std::array<int, 10> bins{};
  for (int i = 0; i < kDraws; ++i) {
    const float u = philox_uniform(42, i);
    ASSERT_GE(u, 0.0F);
    ASSERT_LT(u, 1.0F);
    ++bins[static_cast<size_t>(u * 10.0F)];
  }
  for (const int count : bins) EXPECT_NEAR(count, kDraws * 0.1, 500);  // 5 standard deviations are 474
}

TEST(Philox, differs_by_seed_and_by_position) {
  EXPECT_NE(philox_uniform(1, 7), philox_uniform(2, 7));
  EXPECT_NE(philox_uniform(1, 7), philox_uniform(1, 8));
  EXPECT_NE(philox_uniform(uint64_t{1} << 40, 7), philox_uniform(0, 7));
  EXPECT_EQ(philox_uniform(5, 9), philox_uniform(5, 9));
}

TEST(Sampling, greedy_takes_the_largest_and_the_smallest_id_among_equals) {
  for (const size_t vocab : {1U, 2U, 15U, 16U, 17U, 300U}) {
    Row row(vocab, -1.0F);
    row[vocab / 2] = 2.0F;
    row[vocab - 1] = 2.0F;
    EXPECT_EQ(sample(row, {.temperature = 0}), static_cast<int32_t>(vocab / 2)) << vocab;
  }
}

TEST(Sampling, refuses_rows_that_are_not_finite) {
  for (const float bad :
       {std::nanf(""), std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity()}) {
    for (const size_t place : {0U, 20U, 49U}) {
      Row row(50, 1.0F);
      row[place] = bad;
      EXPECT_EQ(sample(row, {.temperature = 0}), -1);
      EXPECT_EQ(sample(row, {.temperature = 1}), -1);
    }
  }
  EXPECT_EQ(sample({}, {}), -1);
}

TEST(Sampling, a_mask_that_allows_nothing_gives_no_token) {
  const std::vector<uint32_t> none(2, 0);
  EXPECT_EQ(sample(Row(40, 0.0F), {.allowed = none}), -1);
}

TEST(Sampling, never_draws_what_the_mask_forbids) {
  std::vector<uint32_t> allowed(4, 0);
  allowed[1] = 1U << 3;  // token 35
  allowed[2] = 1U << 1;  // token 65
  const Row row = random_row(100, 3);
  for (int64_t position = 0; position < 200; ++position) {
    const int32_t token =
        sample(row, {.temperature = 2.0F, .top_k = 50, .top_p = 0.99F, .position = position, .allowed = allowed});
    EXPECT_TRUE(token == 35 || token == 65) << token;
  }
}

TEST(Sampling, draws_the_same_token_as_the_slow_definition) {
  struct Case {
    float temperature;
    int32_t top_k;
    float top_p;
    float min_p;
  };
  const Case cases[] = {{1.0F, 0, 1.0F, 0.0F},   {0.6F, 0, 0.95F, 0.0F},  {1.3F, 5, 1.0F, 0.0F},
                        {1.0F, 40, 0.8F, 0.0F},  {1.0F, 0, 1.0F, 0.05F},  {0.7F, 100, 0.9F, 0.02F},
                        {2.0F, 1, 0.5F, 0.0F},   {1.0F, 0, 0.01F, 0.0F},  {5.0F, 0, 0.999F, 0.0F},
                        {0.01F, 0, 0.95F, 0.0F}, {1.0F, 9999, 0.5F, 0.1F}};
  for (const size_t vocab : {7U, 256U, 257U, 5000U}) {
    const Row row = random_row(vocab, static_cast<uint32_t>(vocab));
    for (const Case& c : cases) {
      SampleParams params{
          .temperature = c.temperature, .top_k = c.top_k, .top_p = c.top_p, .min_p = c.min_p, .seed = 11};
      const auto distribution = naive_distribution(row, params);
      for (params.position = 0; params.position < 100; ++params.position) {
        const auto uniform = static_cast<double>(philox_uniform(params.seed, params.position));
        EXPECT_EQ(sample(row, params), naive_draw(distribution, uniform))
            << "vocab " << vocab << " temperature " << c.temperature << " top_k " << c.top_k << " top_p " << c.top_p
            << " position " << params.position;
      }
    }
  }
}

TEST(Sampling, follows_the_distribution) {
  const Row row = {0.0F, 1.0F, 2.0F, 0.5F};
  constexpr int kDraws = 40'000;
  std::array<int, 4> counts{};
  for (int i = 0; i < kDraws; ++i) {
    ++counts[static_cast<size_t>(sample(row, {.temperature = 1.0F, .seed = 77, .position = i}))];
  }
  const auto distribution = naive_distribution(row, {});
  double chi_square = 0;
  for (size_t i = 0; i < 4; ++i) {
    const double expected = distribution[i] * kDraws;
    chi_square += (counts[i] - expected) * (counts[i] - expected) / expected;
  }
  EXPECT_LT(chi_square, 16.3);  // 3 degrees of freedom, p = 0.001
}

TEST(Sampling, top_k_keeps_exactly_k_among_equals) {
  const Row row(500, 1.0F);
  for (int64_t position = 0; position < 300; ++position) {
    EXPECT_LT(sample(row, {.temperature = 1.0F, .top_k = 3, .position = position}), 3);
  }
}

TEST(Sampling, repetition_penalty_counts_each_token_once_and_pushes_both_signs_down) {
  const Row row = {4.0F, 3.0F, -1.0F, -1.5F};
  const std::vector<int32_t> prompt = {0, 0, 2};
  const std::vector<TokenCount> output = {{0, 5}};
  const SampleParams params{
      .temperature = 0, .repetition_penalty = 1.25F, .output_counts = output, .prompt_tokens = prompt};
  EXPECT_EQ(sample(row, params), 0);  // 4 / 1.25 = 3.2, still above 3
  EXPECT_EQ(sample({4.0F, 3.3F, -1.0F, -1.5F}, params), 1);
  EXPECT_EQ(sample({-9.0F, -9.0F, -1.0F, -1.2F}, params), 3);  // -1 becomes -1.25
}

TEST(Sampling, repetition_penalty_leaves_no_trace_for_the_next_row) {
  const std::vector<int32_t> prompt = {0};
  SampleScratch scratch;
  const SampleParams params{.temperature = 0, .repetition_penalty = 2.0F, .prompt_tokens = prompt};
  const Row row = {3.0F, 2.0F};
  EXPECT_EQ(sample_row(row, params, scratch).token, 1);
  EXPECT_EQ(sample_row(row, params, scratch).token, 1);
}

TEST(Sampling, frequency_and_presence_penalties_use_the_output_only) {
  const std::vector<TokenCount> output = {{0, 3}, {1, 1}};
  const Row row = {5.0F, 4.0F, 3.0F};
  EXPECT_EQ(sample(row, {.temperature = 0, .frequency_penalty = 0.6F, .output_counts = output}), 1);  // 3.2 3.4 3
  EXPECT_EQ(sample(row, {.temperature = 0, .presence_penalty = 0.9F, .output_counts = output}), 0);   // 4.1 3.1 3
  EXPECT_EQ(
      sample(row, {.temperature = 0, .presence_penalty = 1.1F, .frequency_penalty = 0.5F, .output_counts = output}), 2);
}

TEST(Sampling, bias_comes_before_penalties_and_temperature) {
  const std::vector<LogitBias> bias = {{1, 2.0F}};
  EXPECT_EQ(sample({1.0F, 0.0F}, {.temperature = 0, .logit_bias = bias}), 1);
}

TEST(Sampling, logprobs_are_those_of_the_raw_logits) {
  const Row row = random_row(1000, 5);
  double total = 0;
  for (const float value : row) total += std::exp(static_cast<double>(value));
  SampleScratch scratch;
  const std::vector<LogitBias> bias = {{17, 100.0F}};
  const SampleResult result = sample_row(row, {.temperature = 0.3F, .logit_bias = bias, .top_logprobs = 5}, scratch);
  EXPECT_EQ(result.token, 17);
  EXPECT_NEAR(result.logprob, static_cast<double>(row[17]) - std::log(total), 1e-5);
  ASSERT_EQ(result.top.size(), 5U);
  EXPECT_EQ(result.top[0].token, std::max_element(row.begin(), row.end()) - row.begin());
  for (size_t i = 0; i < 5; ++i) {
    EXPECT_NEAR(result.top[i].logprob,
                static_cast<double>(row[static_cast<size_t>(result.top[i].token)]) - std::log(total), 1e-5);
    if (i > 0) {
      EXPECT_LE(result.top[i].logprob, result.top[i - 1].logprob);
    }
  }
  EXPECT_TRUE(sample_row(row, {.top_logprobs = 0}, scratch).top.empty());
}

TEST(Sampling, a_tiny_temperature_is_greedy) { EXPECT_EQ(sample({1.0F, 1.5F, 1.4F}, {.temperature = 1e-30F}), 1); }

TEST(Sampling, survives_extreme_but_finite_logits) {
  const float huge = 3e38F;
  EXPECT_EQ(sample({-huge, huge, 0.0F}, {.temperature = 1.0F, .top_p = 0.9F}), 1);
  EXPECT_EQ(sample({-huge, -huge, -huge}, {.temperature = 0.0F}), 0);
}

}  // namespace
}  // namespace cove
