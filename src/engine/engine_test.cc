#include "engine/engine.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <functional>
#include <thread>

#include <gtest/gtest.h>

#include "base/utf8.h"
#include "engine/testing/brake.h"
#include "engine/testing/company.h"
#include "engine/testing/engine_fixture.h"

namespace cove::engine {
namespace {

using namespace std::chrono_literals;
using testing::Answer;
using testing::ask;
using testing::Brake;
using testing::bytes_of;
using testing::ByteTokenizer;
using testing::CollectingSink;
using testing::engine_of;
using testing::expect_empty;
using testing::greedy;
using testing::HookedBackend;
using testing::tiny_language_model;
using testing::wait_until;

TEST(Engine, generates_as_many_tokens_as_asked_for) {
  const auto engine = engine_of(tiny_language_model());
  const Answer answer = ask(*engine, greedy("hello", 12));
  EXPECT_EQ(answer.tokens.size(), 12U);
  EXPECT_EQ(answer.finish.reason, FinishReason::kLength);
  EXPECT_EQ(answer.finish.usage.prompt_tokens, 5);
  EXPECT_EQ(answer.finish.usage.completion_tokens, 12);
  EXPECT_TRUE(is_valid_utf8(answer.text));
  for (const std::string& piece : answer.pieces) EXPECT_TRUE(is_valid_utf8(piece));
  expect_empty(*engine);
  EXPECT_TRUE(wait_until([&] { return engine->idle(); }));
}

TEST(Engine, stops_at_the_contexts_end) {
  const auto engine = engine_of(tiny_language_model(40));
  const Answer answer = ask(*engine, greedy(std::string(30, 'x'), 0));
  EXPECT_EQ(answer.finish.reason, FinishReason::kLength);
  EXPECT_EQ(answer.tokens.size(), 10U);
  EXPECT_EQ(engine->model().context_max, 40);
}

TEST(Engine, stops_at_the_end_token_which_is_counted_but_not_shown) {
  const auto engine = engine_of(tiny_language_model());
  Request request = greedy("hello", 12);
  const Answer free = ask(*engine, request);
  request.stop_tokens = {free.tokens[5]};
  const Answer stopped = ask(*engine, request);
  const auto first = std::find(free.tokens.begin(), free.tokens.end(), free.tokens[5]);
  EXPECT_EQ(stopped.finish.reason, FinishReason::kStop);
  EXPECT_EQ(stopped.tokens, std::vector<int32_t>(free.tokens.begin(), first));
  EXPECT_EQ(stopped.finish.usage.completion_tokens, static_cast<int32_t>(stopped.tokens.size()) + 1);
}

TEST(Engine, draws_no_end_token_before_the_least_number_of_tokens) {
  const auto engine = engine_of(tiny_language_model());
  Request request = greedy("hello", 30);
  request.ignore_eos = false;
  request.sampling.logit_bias = {{ByteTokenizer::kEnd, 1000.0F}};
  EXPECT_EQ(ask(*engine, request).tokens.size(), 0U);
  request.tokens_min = 7;
  const Answer answer = ask(*engine, request);
  EXPECT_EQ(answer.tokens.size(), 7U);
  EXPECT_EQ(answer.finish.reason, FinishReason::kStop);
}

TEST(Engine, cuts_at_stop_strings_over_token_borders) {
  const auto engine = engine_of(tiny_language_model());
  Request request = greedy("hello", 40);
  for (int32_t token = 128; token < 257; ++token)
    request.sampling.logit_bias.emplace_back(token, -1000.0F);  // ASCII only
  const Answer free = ask(*engine, request);
  ASSERT_EQ(free.text.size(), 40U);
  request.stop = {free.text.substr(10, 3)};
  const Answer stopped = ask(*engine, request);
  EXPECT_EQ(stopped.finish.reason, FinishReason::kStop);
  EXPECT_EQ(stopped.finish.stop_string, request.stop[0]);
  EXPECT_EQ(stopped.text, free.text.substr(0, free.text.find(request.stop[0])));
}

TEST(Engine, forces_the_end_of_thinking_when_the_budget_is_spent) {
  const auto engine = engine_of(tiny_language_model());
  Request request = greedy("hello", 12);
  request.sampling.top_logprobs = 0;
  request.thinking = ThinkingBudget{.tokens = 3, .end_token = 'E', .close_tokens = {'<', 'E', '>'}};
  request.sampling.logit_bias = {{'E', -1000.0F}};
  const Answer answer = ask(*engine, request);
  ASSERT_EQ(answer.tokens.size(), 12U);
  EXPECT_EQ((std::vector<int32_t>(answer.tokens.begin() + 3, answer.tokens.begin() + 6)),
            (std::vector<int32_t>{'<', 'E', '>'}));
  EXPECT_EQ(answer.logprobs.size(), 12U);
  EXPECT_EQ(std::count(answer.tokens.begin() + 6, answer.tokens.end(), 'E'), 0);
}

// Allows the tokens of one text, in order; complete at its end.
class OneText final : public TokenConstraint {
 public:
  explicit OneText(std::string text) : text_(std::move(text)), allowed_(9, 0) {}
  std::span<const uint32_t> allowed() override {
    std::ranges::fill(allowed_, 0);
    if (at_ < text_.size()) {
      const auto token = static_cast<uint8_t>(text_[at_]);
      allowed_[token / 32] = 1U << (token % 32);
    }
    return allowed_;
  }
  bool complete() const override { return at_ == text_.size(); }
  void accept(int32_t token) override {
    EXPECT_EQ(token, static_cast<uint8_t>(text_[at_]));
    ++at_;
  }

 private:
  std::string text_;
  size_t at_ = 0;
  std::vector<uint32_t> allowed_;
};

TEST(Engine, a_constraint_decides_every_token_and_the_end) {
  const auto engine = engine_of(tiny_language_model());
  Request request = greedy("hello", 40);
  request.ignore_eos = false;
  request.constraint.emplace().make = [] { return std::make_unique<OneText>("{\"a\":1}"); };
  const Answer answer = ask(*engine, request);
  EXPECT_EQ(answer.text, "{\"a\":1}");
  EXPECT_EQ(answer.finish.reason, FinishReason::kStop);
  request.tokens_min = 20;  // cannot be kept: the text has an end
  EXPECT_EQ(ask(*engine, request).text, "{\"a\":1}");
}

TEST(Engine, a_constraint_waits_for_the_end_of_the_forced_thinking) {
  const auto engine = engine_of(tiny_language_model());
  Request request = greedy("hello", 40);
  request.ignore_eos = false;
  request.sampling.logit_bias = {{'E', -1000.0F}, {ByteTokenizer::kEnd, 1000.0F}};
  request.thinking = ThinkingBudget{.tokens = 3, .end_token = 'E', .close_tokens = {'<', 'E', '>'}};
  request.constraint.emplace().make = [] { return std::make_unique<OneText>("yes"); };
  request.constraint->after_token = 'E';
  const Answer answer = ask(*engine, request);
  ASSERT_EQ(answer.tokens.size(), 9U);
  EXPECT_EQ(answer.text.substr(answer.text.size() - 6), "<E>yes");
  EXPECT_EQ(answer.finish.reason, FinishReason::kStop);
}

TEST(Engine, does_not_force_the_end_of_thinking_that_came_by_itself) {
  const auto engine = engine_of(tiny_language_model());
  Request request = greedy("hello", 12);
  const Answer free = ask(*engine, request);
  request.thinking = ThinkingBudget{.tokens = 6, .end_token = free.tokens[2], .close_tokens = {free.tokens[2]}};
  EXPECT_EQ(ask(*engine, request).tokens, free.tokens);
}

TEST(Engine, gives_logprobs_when_asked) {
  const auto engine = engine_of(tiny_language_model());
  Request request = greedy("hello", 5);
  request.sampling.top_logprobs = 3;
  const Answer answer = ask(*engine, request);
  ASSERT_EQ(answer.logprobs.size(), 5U);
  for (size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(answer.logprobs[i].token, answer.tokens[i]);
    ASSERT_EQ(answer.logprobs[i].top.size(), 3U);
    EXPECT_EQ(answer.logprobs[i].top[0].first, answer.tokens[i]);
    EXPECT_EQ(answer.logprobs[i].top[0].second, answer.logprobs[i].logprob);
    EXPECT_LT(answer.logprobs[i].logprob, 0.0F);
  }
}

TEST(Engine, takes_a_repeated_prompt_from_the_prefix_cache) {
  const auto engine = engine_of(tiny_language_model());
  const Request request = testing::sampled(std::string(50, 'p'), 8, 3);
  const Answer cold = ask(*engine, request);
  const Answer warm = ask(*engine, request);
  EXPECT_EQ(cold.finish.usage.cached_tokens, 0);
  EXPECT_EQ(warm.finish.usage.cached_tokens, 48);
  EXPECT_EQ(warm.tokens, cold.tokens);
  EXPECT_EQ(engine->stats().cached_prompt_tokens, 48U);
  EXPECT_EQ(engine->stats().prompt_tokens, 52U);
}

// --- Refusals ---

TEST(Engine, refuses_a_prompt_longer_than_the_context) {
  const auto engine = engine_of(tiny_language_model(64));
  const auto refused = engine->submit(greedy(std::string(64, 'x'), 1), std::make_shared<CollectingSink>());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
  EXPECT_NE(refused.error().message.find("the prompt has 64 tokens, the context holds 64"), std::string::npos)
      << refused.error().message;
}

TEST(Engine, refuses_what_cannot_be_run) {
  const auto engine = engine_of(tiny_language_model());
  const auto refused = [&](const std::function<void(Request&)>& spoil) {
    Request request = greedy("x", 1);
    spoil(request);
    const auto result = engine->submit(std::move(request), std::make_shared<CollectingSink>());
    return !result && result.error().code == ErrorCode::kInvalidArgument;
  };
  EXPECT_TRUE(refused([](Request& r) { r.prompt.clear(); }));
  EXPECT_TRUE(refused([](Request& r) { r.prompt = {257}; }));
  EXPECT_TRUE(refused([](Request& r) { r.prompt = {-1}; }));
  EXPECT_TRUE(refused([](Request& r) { r.sampling.temperature = -1; }));
  EXPECT_TRUE(refused([](Request& r) { r.sampling.temperature = std::nanf(""); }));
  EXPECT_TRUE(refused([](Request& r) { r.sampling.top_p = 0; }));
  EXPECT_TRUE(refused([](Request& r) { r.sampling.logit_bias = {{300, 1.0F}}; }));
  EXPECT_TRUE(refused([](Request& r) { r.sampling.logit_bias = {{3, INFINITY}}; }));
  EXPECT_TRUE(refused([](Request& r) { r.sampling.top_logprobs = 21; }));
  EXPECT_TRUE(refused([](Request& r) { r.stop = {""}; }));
  EXPECT_TRUE(refused([](Request& r) { r.stop = {"\xff"}; }));
  EXPECT_TRUE(refused([](Request& r) { r.thinking = ThinkingBudget{.tokens = 1, .close_tokens = {999}}; }));
  EXPECT_TRUE(refused([](Request& r) {
    r.ignore_eos = true;
    r.constraint.emplace().make = [] { return std::make_unique<OneText>("x"); };
  }));
  expect_empty(*engine);
}

TEST(Engine, refuses_options_out_of_range) {
  const auto model = tiny_language_model();
  for (const EngineOptions& options : {EngineOptions{.memory_fraction = 0}, EngineOptions{.memory_fraction = 1.5},
                                       EngineOptions{.batch_tokens_max = 0}, EngineOptions{.sequences_max = 0},
                                       EngineOptions{.kv_format = "q8"}, EngineOptions{.context_max = 100'000}}) {
    const auto made = testing::try_engine(model, options);
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error().code, ErrorCode::kInvalidArgument) << made.error().message;
  }
}

TEST(Engine, an_fp8_cache_has_about_twice_the_pages_in_the_same_memory) {
  const auto pages = [](const std::string& kv_format) {
    auto backend = std::make_unique<HookedBackend>(make_reference_backend(), [] { return Status(); }, 10'000'000);
    const auto engine = testing::engine_of(tiny_language_model(1 << 20),
                                           {.batch_tokens_max = 64, .kv_format = kv_format}, std::move(backend));
    EXPECT_GT(testing::ask(*engine, {.prompt = testing::bytes_of("hello"), .tokens_max = 20}).tokens.size(), 0U);
    return static_cast<double>(engine->stats().pages_total);
  };
  const KvLayout bf16{.layers = 1, .kv_heads = 1, .head_dim = testing::TinyShape().head_dim, .dtype = DType::kBF16};
  KvLayout fp8 = bf16;
  fp8.dtype = DType::kE4M3;
  const double ratio = static_cast<double>(bf16.page_bytes()) / static_cast<double>(fp8.page_bytes());
  EXPECT_NEAR(pages("fp8") / pages("bf16"), ratio, 0.02);
}

TEST(Engine, refuses_to_load_what_does_not_fit) {
  auto backend = std::make_unique<HookedBackend>(make_reference_backend(), [] { return Status(); }, 1'000'000);
  const auto made = testing::try_engine(tiny_language_model(), {}, std::move(backend));
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, ErrorCode::kFailedPrecondition);
  EXPECT_NE(made.error().message.find("1 MB"), std::string::npos) << made.error().message;
}

// As the CUDA backend with engine.weight_format: what counts is what it makes of the weights, not what the files hold.
TEST(Engine, plans_memory_for_weights_as_the_backend_lays_them_out) {
  const auto model = tiny_language_model();  // two layers of four products, and the output layer
  const auto with = [&](uint64_t own, uint64_t shared) {
    auto backend = std::make_unique<HookedBackend>(make_reference_backend(), [] { return Status(); }, 100'000'000);
    // One layer needs the largest of the buffers that all share.
    backend->set_plan([=](const LinearWeightDesc& desc) {
      return LinearMemory{.own = own, .shared = desc.name == "lm_head" ? shared : shared / 2};
    });
    return testing::try_engine(model, {.context_max = 64}, std::move(backend));
  };
  const auto refused = with(10'000'000, 5'000'000);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kFailedPrecondition);
  EXPECT_NE(refused.error().message.find("weights 95 MB"), std::string::npos) << refused.error().message;
  EXPECT_NE(refused.error().message.find("smaller weight format"), std::string::npos) << refused.error().message;
  EXPECT_TRUE(with(5'000'000, 5'000'000)) << "half the bytes a weight";
}

// --- A backend that waits until it is told to go on ---

TEST(Engine, refuses_with_numbers_when_the_queue_is_full) {
  Brake brake;
  const auto engine = engine_of(tiny_language_model(), {.sequences_max = 1, .queue_max = 2}, brake.backend());
  std::vector<std::shared_ptr<CollectingSink>> sinks;
  const auto submit = [&] {
    sinks.push_back(std::make_shared<CollectingSink>());
    return engine->submit(greedy("x", 2), sinks.back());
  };
  ASSERT_TRUE(submit());
  brake.wait_for_step(1);
  ASSERT_TRUE(submit());
  ASSERT_TRUE(submit());
  const auto refused = submit();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kResourceExhausted);
  EXPECT_NE(refused.error().message.find("limits.queue_max is 2"), std::string::npos);
  brake.release();
  sinks.pop_back();
  for (const auto& sink : sinks) EXPECT_EQ(sink->wait().finish.reason, FinishReason::kLength);
}

TEST(Engine, stops_a_cancelled_request_within_one_step) {
  Brake brake;
  const auto engine = engine_of(tiny_language_model(), {}, brake.backend());
  const auto sink = std::make_shared<CollectingSink>();
  const auto id = engine->submit(greedy("hello", 400), sink);
  ASSERT_TRUE(id);
  brake.allow(3);
  brake.wait_for_step(4);
  engine->cancel(*id);
  brake.release();
  const Answer answer = sink->wait();
  EXPECT_EQ(answer.finish.reason, FinishReason::kCancelled);
  EXPECT_EQ(answer.tokens.size(), 4U);
  EXPECT_EQ(answer.finish.usage.completion_tokens, 4);
  expect_empty(*engine);
}

TEST(Engine, a_cancelled_request_in_the_queue_never_runs) {
  Brake brake;
  const auto engine = engine_of(tiny_language_model(), {.sequences_max = 1}, brake.backend());
  const auto running = std::make_shared<CollectingSink>();
  const auto waiting = std::make_shared<CollectingSink>();
  ASSERT_TRUE(engine->submit(greedy("a", 2), running));
  brake.wait_for_step(1);
  const auto id = engine->submit(greedy("b", 2), waiting);
  ASSERT_TRUE(id);
  engine->cancel(*id);
  engine->cancel(12345);  // unknown: ignored
  brake.release();
  const Answer answer = waiting->wait();
  EXPECT_EQ(answer.finish.reason, FinishReason::kCancelled);
  EXPECT_TRUE(answer.tokens.empty());
  EXPECT_EQ(running->wait().finish.reason, FinishReason::kLength);
  expect_empty(*engine);
}

TEST(Engine, drains_what_was_accepted_and_refuses_the_rest) {
  Brake brake;
  const auto engine = engine_of(tiny_language_model(), {.sequences_max = 1}, brake.backend());
  const auto first = std::make_shared<CollectingSink>();
  const auto second = std::make_shared<CollectingSink>();
  ASSERT_TRUE(engine->submit(greedy("a", 3), first));
  ASSERT_TRUE(engine->submit(greedy("b", 3), second));
  engine->drain();
  EXPECT_EQ(engine->health(), Health::kDraining);
  EXPECT_FALSE(engine->idle());
  const auto refused = engine->submit(greedy("c", 3), std::make_shared<CollectingSink>());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kUnavailable);
  brake.release();
  EXPECT_EQ(first->wait().finish.reason, FinishReason::kLength);
  EXPECT_EQ(second->wait().finish.reason, FinishReason::kLength);
  EXPECT_TRUE(wait_until([&] { return engine->idle(); }));
}

TEST(Engine, answers_everyone_when_the_device_fails) {
  Brake brake;
  const auto engine = engine_of(tiny_language_model(), {.sequences_max = 1}, brake.backend());
  const auto running = std::make_shared<CollectingSink>();
  const auto waiting = std::make_shared<CollectingSink>();
  ASSERT_TRUE(engine->submit(greedy("a", 5), running));
  ASSERT_TRUE(engine->submit(greedy("b", 5), waiting));
  brake.wait_for_step(1);
  brake.fail();
  for (const auto& sink : {running, waiting}) {
    const Answer answer = sink->wait();
    EXPECT_EQ(answer.finish.reason, FinishReason::kError);
    EXPECT_FALSE(answer.finish.error.message.empty());
  }
  EXPECT_NE(running->wait().finish.error.message.find("fell off the bus"), std::string::npos);
  EXPECT_EQ(engine->health(), Health::kFailed);
  const auto refused = engine->submit(greedy("c", 3), std::make_shared<CollectingSink>());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kUnavailable);
}

TEST(Engine, says_that_it_is_stuck) {
  Brake brake;
  const auto engine = engine_of(tiny_language_model(), {.stuck_after_s = 1}, brake.backend());
  EXPECT_EQ(engine->health(), Health::kReady);
  const auto sink = std::make_shared<CollectingSink>();
  ASSERT_TRUE(engine->submit(greedy("a", 2), sink));
  EXPECT_TRUE(wait_until([&] { return engine->health() == Health::kStuck; }));
  EXPECT_GE(engine->stats().seconds_since_step, 1.0);
  brake.release();
  sink->wait();
  EXPECT_TRUE(wait_until([&] { return engine->health() == Health::kReady; }));
}

TEST(Engine, ends_one_request_alone_when_its_logits_are_not_finite) {
  const auto model = tiny_language_model();
  std::vector<float>& embedding = model->values("embed.weight");
  std::fill_n(embedding.begin() + static_cast<int64_t>('Z') * model->spec().hidden, model->spec().hidden, NAN);
  const auto engine = engine_of(model);
  const auto good = std::make_shared<CollectingSink>();
  const auto bad = std::make_shared<CollectingSink>();
  Request request = greedy("abc", 6);
  request.sampling.logit_bias = {{'Z', -1000.0F}};
  ASSERT_TRUE(engine->submit(request, good));
  ASSERT_TRUE(engine->submit(greedy("abZ", 6), bad));
  EXPECT_EQ(good->wait().finish.reason, FinishReason::kLength);
  const Answer answer = bad->wait();
  EXPECT_EQ(answer.finish.reason, FinishReason::kError);
  EXPECT_NE(answer.finish.error.message.find("not finite at position 3"), std::string::npos);
  EXPECT_EQ(engine->health(), Health::kReady);
}

TEST(Engine, destroying_it_answers_what_is_left) {
  const auto sink = std::make_shared<CollectingSink>();
  {
    const auto engine = engine_of(tiny_language_model());
    ASSERT_TRUE(engine->submit(greedy("hello", 400), sink));
  }
  const FinishReason reason = sink->wait().finish.reason;
  EXPECT_TRUE(reason == FinishReason::kCancelled || reason == FinishReason::kLength);
}

TEST(Engine, an_idle_engine_waits_for_company_when_told_to) {
  std::atomic<int> steps = 0;
  auto backend = std::make_unique<HookedBackend>(make_reference_backend(), [&] {
    ++steps;
    return Status();
  });
  const auto engine = engine_of(tiny_language_model(), {.batch_window_ms = 300}, std::move(backend));
  const auto first = std::make_shared<CollectingSink>();
  const auto second = std::make_shared<CollectingSink>();
  ASSERT_TRUE(engine->submit(greedy("a", 4), first));
  ASSERT_TRUE(engine->submit(greedy("b", 4), second));
  first->wait();
  second->wait();
  EXPECT_EQ(steps, 4);
}

TEST(Engine, gives_the_same_tokens_and_logprobs_alone_and_in_any_batch) {
  const auto model = tiny_language_model(testing::kShortContext);
  testing::expect_same_in_any_company([&](const EngineOptions& options) { return engine_of(model, options); });
}

}  // namespace
}  // namespace cove::engine
