// The loop on a backend that runs ahead: the next step is planned and submitted while one is under way. What clients
// see must be what they see without.
#include <gtest/gtest.h>

#include "engine/engine.h"
#include "engine/testing/brake.h"
#include "engine/testing/company.h"
#include "engine/testing/queued_backend.h"

namespace cove::engine {
namespace {

using testing::Answer;
using testing::ask;
using testing::Brake;
using testing::CollectingSink;
using testing::engine_of;
using testing::greedy;
using testing::QueuedBackend;
using testing::tiny_language_model;
using testing::wait_until;

std::unique_ptr<Backend> queued() { return std::make_unique<QueuedBackend>(make_reference_backend()); }

std::unique_ptr<Engine> overlapping(const EngineOptions& options = {}) {
  return engine_of(tiny_language_model(), options, queued());
}

bool all_pages_come_back(const Engine& engine) {
  return wait_until([&] { return engine.stats().pages_used == 0; });
}

TEST(EngineOverlap, gives_the_tokens_that_steps_in_turn_give_alone_and_in_any_batch) {
  const auto model = tiny_language_model(testing::kShortContext);
  const auto in_turn = [&](EngineOptions options) {
    options.overlap_steps = false;
    return engine_of(model, options, queued());
  };
  const auto ahead = [&](const EngineOptions& options) { return engine_of(model, options, queued()); };
  testing::expect_same_in_any_company(in_turn, ahead, testing::plain_requests());
  testing::expect_same_in_any_company(in_turn, ahead, testing::mixed_requests());
}

TEST(EngineOverlap, submits_a_step_while_one_is_under_way_unless_told_not_to) {
  for (const bool overlap : {true, false}) {
    auto backend = std::make_unique<QueuedBackend>(make_reference_backend());
    const QueuedBackend& seen = *backend;
    const auto engine = engine_of(tiny_language_model(), {.overlap_steps = overlap}, std::move(backend));
    ask(*engine, greedy("hello", 5));
    EXPECT_EQ(seen.most_under_way(), overlap ? 2U : 1U);
  }
}

TEST(EngineOverlap, takes_turns_while_a_draw_needs_the_host) {
  auto backend = std::make_unique<QueuedBackend>(make_reference_backend());
  const QueuedBackend& seen = *backend;
  const auto engine = engine_of(tiny_language_model(), {}, std::move(backend));
  Request request = greedy("hello", 5);
  request.sampling.top_logprobs = 1;
  EXPECT_EQ(ask(*engine, request).logprobs.size(), 5U);
  request.sampling = {.temperature = 1, .presence_penalty = 0.5F};
  EXPECT_EQ(ask(*engine, request).tokens.size(), 5U);
  EXPECT_EQ(seen.most_under_way(), 1U);
}

TEST(EngineOverlap, runs_no_step_too_many_when_the_end_is_known) {
  const auto engine = overlapping();
  EXPECT_EQ(ask(*engine, greedy("hello", 7)).tokens.size(), 7U);
  EXPECT_TRUE(all_pages_come_back(*engine));
  EXPECT_EQ(engine->stats().steps, 7U);
}

TEST(EngineOverlap, an_end_token_ends_the_answer_and_the_row_behind_it_is_dropped) {
  const auto engine = overlapping();
  Request request = greedy("hello", 12);
  const Answer free = ask(*engine, request);
  request.stop_tokens = {free.tokens[5]};
  const uint64_t steps_before = engine->stats().steps;
  const Answer stopped = ask(*engine, request);
  const auto first = std::find(free.tokens.begin(), free.tokens.end(), free.tokens[5]);
  const std::vector<int32_t> expected(free.tokens.begin(), first);
  EXPECT_EQ(stopped.tokens, expected);
  EXPECT_EQ(stopped.finish.reason, FinishReason::kStop);
  EXPECT_EQ(stopped.finish.usage.completion_tokens, static_cast<int32_t>(expected.size()) + 1);
  // The end token's own step, and the one that was under way by then.
  EXPECT_TRUE(wait_until([&] { return engine->stats().steps == steps_before + expected.size() + 2; }));
  EXPECT_TRUE(all_pages_come_back(*engine));
  EXPECT_EQ(engine->stats().generated_tokens, free.tokens.size() + expected.size() + 1);
}

TEST(EngineOverlap, keeps_the_pages_of_a_finished_sequence_until_its_last_step_has_ended) {
  const Answer free = ask(*overlapping(), greedy("hello", 3));
  Brake brake;
  const auto engine = engine_of(tiny_language_model(), {}, brake.backend(queued()));
  Request request = greedy("hello", 12);
  request.stop_tokens = {free.tokens[1]};
  const auto sink = std::make_shared<CollectingSink>();
  ASSERT_TRUE(engine->submit(request, sink));
  const auto first = std::find(free.tokens.begin(), free.tokens.end(), free.tokens[1]) - free.tokens.begin();
  brake.allow(static_cast<int>(first) + 1);  // up to the end token's step
  brake.wait_for_step(static_cast<int>(first) + 2);
  EXPECT_EQ(sink->wait().finish.reason, FinishReason::kStop);
  EXPECT_EQ(engine->stats().pages_used, 1);
  brake.release();
  EXPECT_TRUE(all_pages_come_back(*engine));
}

TEST(EngineOverlap, a_cancelled_request_gets_the_tokens_of_the_step_that_ends_and_no_more) {
  Brake brake;
  const auto engine = engine_of(tiny_language_model(), {}, brake.backend(queued()));
  const auto cancelled = std::make_shared<CollectingSink>();
  const auto other = std::make_shared<CollectingSink>();
  const auto id = engine->submit(greedy("hello", 400), cancelled);
  ASSERT_TRUE(id);
  ASSERT_TRUE(engine->submit(greedy("world", 9), other));
  brake.allow(3);
  brake.wait_for_step(4);  // and the fifth is submitted
  engine->cancel(*id);
  brake.release();
  const Answer answer = cancelled->wait();
  EXPECT_EQ(answer.finish.reason, FinishReason::kCancelled);
  EXPECT_GE(answer.tokens.size(), 3U);
  EXPECT_LE(answer.tokens.size(), 4U);
  EXPECT_EQ(answer.finish.usage.completion_tokens, static_cast<int32_t>(answer.tokens.size()));
  EXPECT_EQ(other->wait().tokens, ask(*engine, greedy("world", 9)).tokens);
  EXPECT_TRUE(all_pages_come_back(*engine));
}

TEST(EngineOverlap, requests_that_begin_alike_share_a_prompt_that_is_under_way) {
  Brake brake;
  const auto engine = engine_of(tiny_language_model(), {}, brake.backend(queued()));
  std::vector<std::shared_ptr<CollectingSink>> sinks;
  const auto submit = [&] {
    sinks.push_back(std::make_shared<CollectingSink>());
    ASSERT_TRUE(engine->submit(greedy(std::string(50, 'p'), 6), sinks.back()));
  };
  submit();
  brake.wait_for_step(1);  // the prompt's step and the next are under way
  for (int i = 0; i < 5; ++i) submit();
  brake.release();
  const Answer first = sinks.front()->wait();
  for (size_t i = 1; i < sinks.size(); ++i) {
    const Answer answer = sinks[i]->wait();
    EXPECT_EQ(answer.tokens, first.tokens);
    EXPECT_EQ(answer.finish.usage.cached_tokens, 48);
  }
  EXPECT_TRUE(all_pages_come_back(*engine));
  EXPECT_EQ(engine->stats().prompt_tokens, 50U + 5 * 2);
}

TEST(EngineOverlap, ends_one_request_alone_when_its_logits_are_not_finite) {
  const auto model = tiny_language_model();
  std::vector<float>& embedding = model->values("embed.weight");
  std::fill_n(embedding.begin() + static_cast<int64_t>('Z') * model->spec().hidden, model->spec().hidden, NAN);
  const auto expected = ask(*engine_of(tiny_language_model()), greedy("abc", 6)).tokens;
  ASSERT_EQ(std::count(expected.begin(), expected.end(), 'Z'), 0);
  const auto engine = engine_of(model, {}, queued());
  const auto good = std::make_shared<CollectingSink>();
  const auto bad = std::make_shared<CollectingSink>();
  ASSERT_TRUE(engine->submit(greedy("abc", 6), good));
  ASSERT_TRUE(engine->submit(greedy("abZ", 6), bad));
  EXPECT_EQ(bad->wait().finish.reason, FinishReason::kError);
  EXPECT_EQ(good->wait().tokens, expected);
  EXPECT_EQ(engine->health(), Health::kReady);
  EXPECT_TRUE(all_pages_come_back(*engine));
}

TEST(EngineOverlap, answers_everyone_once_when_the_device_fails_with_two_steps_under_way) {
  Brake brake;
  const auto engine = engine_of(tiny_language_model(), {.sequences_max = 1}, brake.backend(queued()));
  const auto running = std::make_shared<CollectingSink>();
  const auto waiting = std::make_shared<CollectingSink>();
  ASSERT_TRUE(engine->submit(greedy("a", 50), running));
  ASSERT_TRUE(engine->submit(greedy("b", 5), waiting));
  brake.allow(2);
  brake.wait_for_step(3);
  brake.fail();
  for (const auto& sink : {running, waiting}) {
    const Answer answer = sink->wait();
    EXPECT_EQ(answer.finish.reason, FinishReason::kError);
    EXPECT_NE(answer.finish.error.message.find("fell off the bus"), std::string::npos);
  }
  EXPECT_EQ(engine->health(), Health::kFailed);
  EXPECT_TRUE(all_pages_come_back(*engine));
  EXPECT_EQ(running->wait().finishes, 1);
}

TEST(EngineOverlap, destroying_it_with_steps_under_way_answers_what_is_left) {
  Brake brake;
  const auto sink = std::make_shared<CollectingSink>();
  {
    const auto engine = engine_of(tiny_language_model(), {}, brake.backend(queued()));
    ASSERT_TRUE(engine->submit(greedy("hello", 400), sink));
    brake.allow(4);
    brake.wait_for_step(5);
    brake.release();
  }
  const Answer answer = sink->wait();
  EXPECT_TRUE(answer.finish.reason == FinishReason::kCancelled || answer.finish.reason == FinishReason::kLength);
  EXPECT_EQ(answer.finishes, 1);
}

}  // namespace
}  // namespace cove::engine
