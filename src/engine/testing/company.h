#pragma once
// "A sequence's output is the same alone and in any batch": many different requests, run alone and then together in
// every way that a scheduler can mix them. Header only; included by *_test.cc alone.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/testing/engine_fixture.h"

namespace cove::testing {

constexpr int64_t kShortContext = 160;  // ten pages: few enough that sequences must be preempted

using EngineMaker = std::function<std::unique_ptr<engine::Engine>(const engine::EngineOptions&)>;

inline engine::Request sampled(const std::string& prompt, int32_t tokens_max, uint64_t seed) {
  engine::Request request;
  request.prompt = bytes_of(prompt);
  request.tokens_max = tokens_max;
  request.sampling.temperature = 1.0F;
  request.sampling.seed = seed;
  request.sampling.top_logprobs = 2;
  request.ignore_eos = true;
  return request;
}

inline std::vector<engine::Request> mixed_requests() {
  std::vector<engine::Request> requests;
  const std::string shared(37, 's');
  for (uint64_t i = 0; i < 24; ++i) {
    const std::string own(1 + i * 5 % 67, static_cast<char>('a' + i));
    engine::Request request = sampled((i % 3 == 0 ? shared : "") + own, static_cast<int32_t>(5 + i * 7 % 40), i);
    request.tenant = i % 2 == 0 ? "even" : "odd";
    request.ignore_eos = i % 4 == 0;
    if (i % 5 == 0) request.sampling.temperature = 0;
    if (i % 5 == 1) request.sampling.top_p = 0.8F;
    if (i % 5 == 2) request.sampling.top_k = 7;
    if (i % 5 == 3) request.sampling.min_p = 0.05F;
    if (i % 6 == 0) request.sampling.repetition_penalty = 1.2F;
    if (i % 7 == 0) request.sampling.frequency_penalty = 0.5F;
    if (i % 8 == 3) request.thinking = engine::ThinkingBudget{.tokens = 4, .end_token = 1, .close_tokens = {2, 1}};
    requests.push_back(std::move(request));
  }
  return requests;
}

inline void expect_same(const Answer& actual, const Answer& expected, const std::string& what) {
  EXPECT_EQ(actual.tokens, expected.tokens) << what;
  EXPECT_EQ(actual.text, expected.text) << what;
  EXPECT_EQ(actual.finish.reason, expected.finish.reason) << what;
  ASSERT_EQ(actual.logprobs.size(), expected.logprobs.size()) << what;
  for (size_t i = 0; i < actual.logprobs.size(); ++i) {
    EXPECT_EQ(actual.logprobs[i].logprob, expected.logprobs[i].logprob) << what << ", token " << i;
    EXPECT_EQ(actual.logprobs[i].top, expected.logprobs[i].top) << what << ", token " << i;
  }
}

// Most need nothing of the host to be drawn, so that steps can overlap; some do for a part of their time, or always.
inline std::vector<engine::Request> plain_requests() {
  std::vector<engine::Request> requests = mixed_requests();
  for (size_t i = 0; i < requests.size(); ++i) {
    engine::Request& request = requests[i];
    request.tokens_max += 20;
    if (i == 13) continue;  // penalties, log probabilities
    request.sampling.top_logprobs = -1;
    request.sampling.repetition_penalty = 1.0F;
    request.sampling.frequency_penalty = 0.0F;
    if (i % 9 == 4) request.tokens_min = 6;
    if (i % 4 == 1) request.stop_tokens = {1, 5, 9, 40, 77, 130};
    if (i % 6 == 2) request.stop = {"a", "xyz"};
  }
  return requests;
}

// All at once and, with their prefixes cached, again; returns how often a sequence was preempted.
inline uint64_t expect_same_together(const EngineMaker& make, const engine::EngineOptions& options,
                                     const std::vector<engine::Request>& requests, const std::vector<Answer>& alone,
                                     const std::string& how) {
  const auto engine = make(options);
  for (int round = 0; round < 2; ++round) {
    std::vector<std::shared_ptr<CollectingSink>> sinks;
    for (const engine::Request& request : requests) {
      sinks.push_back(std::make_shared<CollectingSink>());
      const auto id = engine->submit(request, sinks.back());
      EXPECT_TRUE(id) << id.error().message;
    }
    for (size_t i = 0; i < sinks.size(); ++i) {
      expect_same(sinks[i]->wait(), alone[i], "request " + std::to_string(i) + " " + how);
    }
  }
  EXPECT_TRUE(wait_until([&] { return engine->stats().pages_used == 0; }));
  return engine->stats().preemptions;
}

inline void expect_same_in_any_company(const EngineMaker& make_lone, const EngineMaker& make,
                                       const std::vector<engine::Request>& requests) {
  std::vector<Answer> alone;
  const auto lone_engine = make_lone({.prefix_cache = false, .step_target_ms = 0});
  for (const engine::Request& request : requests) alone.push_back(ask(*lone_engine, request));
  expect_same_together(make, {.step_target_ms = 0}, requests, alone, "in one batch");
  expect_same_together(make, {.batch_tokens_max = 5, .step_target_ms = 0}, requests, alone, "in chunks of 5");
  expect_same_together(make, {.batch_tokens_max = 17, .sequences_max = 3, .prefix_cache = false}, requests, alone,
                       "three at a time");
  EXPECT_GT(expect_same_together(make, {.kv_tokens_max = kShortContext}, requests, alone, "with few pages"), 0U);
}

inline void expect_same_in_any_company(const EngineMaker& make) {
  expect_same_in_any_company(make, make, mixed_requests());
}

}  // namespace cove::testing
