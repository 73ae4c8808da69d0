#include "engine/output/token_rules.h"

#include <gtest/gtest.h>

namespace cove::engine {
namespace {

constexpr TokenRulesContext kContext{.vocab = 64, .eos_ids = {}};
constexpr int32_t kThinkEnd = 9;

class AnyToken final : public TokenConstraint {
 public:
  std::span<const uint32_t> allowed() override { return allowed_; }
  bool complete() const override { return true; }
  void accept(int32_t) override {}

 private:
  std::vector<uint32_t> allowed_{~0U, ~0U};
};

// How many of the draws after the first are known one token before; each must be what next() says once that token is
// there.
int known_ahead(const Request& request, const std::vector<int32_t>& generated) {
  TokenRules rules(request, 1, kContext);
  std::vector<int32_t> tokens = {1};
  int known = 0;
  for (const int32_t token : generated) {
    const bool ahead = rules.knows_next_but_one();
    const SampleParams before = rules.next_but_one(tokens);
    rules.accept(token);
    tokens.push_back(token);
    const SampleParams after = rules.next(tokens);
    if (!ahead) continue;
    ++known;
    EXPECT_TRUE(draws_unaided(after)) << "after " << known;
    EXPECT_EQ(before.position, after.position);
    EXPECT_EQ(before.seed, after.seed);
    EXPECT_EQ(before.temperature, after.temperature);
    EXPECT_EQ(before.top_k, after.top_k);
    EXPECT_EQ(before.top_p, after.top_p);
    EXPECT_EQ(before.min_p, after.min_p);
  }
  return known;
}

Request plain() {
  Request request;
  request.sampling.temperature = 0.6F;
  request.sampling.top_p = 0.9F;
  request.sampling.top_k = 7;
  request.sampling.min_p = 0.1F;
  request.sampling.seed = 5;
  return request;
}

TEST(TokenRulesAhead, knows_every_draw_of_a_plain_request) { EXPECT_EQ(known_ahead(plain(), {3, 4, 5, 6}), 4); }

TEST(TokenRulesAhead, knows_no_draw_that_needs_the_host) {
  const auto never = [](const std::function<void(Request&)>& change) {
    Request request = plain();
    change(request);
    return known_ahead(request, {3, 4, 5, 6}) == 0;
  };
  EXPECT_TRUE(never([](Request& r) { r.sampling.repetition_penalty = 1.1F; }));
  EXPECT_TRUE(never([](Request& r) { r.sampling.presence_penalty = 0.5F; }));
  EXPECT_TRUE(never([](Request& r) { r.sampling.frequency_penalty = 0.5F; }));
  EXPECT_TRUE(never([](Request& r) { r.sampling.logit_bias = {{3, 1.0F}}; }));
  EXPECT_TRUE(never([](Request& r) { r.sampling.top_logprobs = 0; }));
  EXPECT_TRUE(never([](Request& r) { r.constraint.emplace().make = [] { return std::make_unique<AnyToken>(); }; }));
}

TEST(TokenRulesAhead, waits_until_end_tokens_may_be_drawn) {
  Request request = plain();
  request.stop_tokens = {2};
  request.tokens_min = 3;
  EXPECT_EQ(known_ahead(request, {3, 4, 5, 6, 7}), 3);  // those after the third, fourth and fifth token
}

TEST(TokenRulesAhead, waits_while_a_thinking_budget_may_be_spent_with_the_next_token) {
  Request request = plain();
  request.thinking = ThinkingBudget{.tokens = 3, .end_token = kThinkEnd, .close_tokens = {8, kThinkEnd}};
  // The third token spends it, two are forced, and what follows the last of them is free again.
  EXPECT_EQ(known_ahead(request, {3, 4, 5, 8, kThinkEnd, 6, 7}), 4);
  // It ended in time.
  EXPECT_EQ(known_ahead(request, {3, kThinkEnd, 5, 6, 7}), 5);
}

}  // namespace
}  // namespace cove::engine
