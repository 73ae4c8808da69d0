#include "chat_session.h"

#include <cstdlib>

#include <gtest/gtest.h>

#include "base/log.h"
#include "base/utf8.h"

namespace cove::app {
namespace {

std::filesystem::path golden(const std::string& name) {
  return std::filesystem::path(COVE_SOURCE_DIR) / "tests" / "golden" / "models" / name;
}

// A tiny random model: what it says makes no sense, how it is said does.
OpenedModel open_tiny() {
  log::configure(log::Level::kWarn, log::Style::kText);
  OpenEngineOptions options{
      .model = golden("qwen2_tied"), .name = "", .device = {.device = "cpu", .threads = 1}, .engine = {}};
  options.engine.sequences_max = 1;
  auto model = open_engine(options);
  EXPECT_TRUE(model) << model.error().message;
  return std::move(*model);
}

ChatOptions greedy(int64_t tokens_max) {
  ChatOptions options;
  options.temperature = 0;
  options.tokens_max = tokens_max;
  return options;
}

const std::atomic<bool> kNever = false;

TEST(OpenEngine, brings_all_that_a_command_needs) {
  const OpenedModel model = open_tiny();
  EXPECT_EQ(model.engine->model().name, "qwen2_tied");
  EXPECT_EQ(model.engine->model().context_max, 512);
  EXPECT_NE(model.chat_template, nullptr);
  EXPECT_FALSE(model.bos_token.empty());
  EXPECT_TRUE(model.engine->model().digest.starts_with("sha256:"));
}

TEST(OpenEngine, refuses_a_device_that_does_not_exist) {
  const auto backend = open_backend({.device = "tpu"});
  ASSERT_FALSE(backend);
  EXPECT_EQ(backend.error().code, ErrorCode::kInvalidArgument);
}

TEST(OpenEngine, names_the_missing_model) {
  const auto path = find_model("/no/such/model");
  ASSERT_FALSE(path);
  EXPECT_EQ(path.error().code, ErrorCode::kNotFound);
  EXPECT_NE(path.error().message.find("/no/such/model"), std::string::npos);
}

TEST(OpenEngine, takes_the_model_of_the_environment) {
  ASSERT_EQ(setenv("COVE_MODEL", golden("llama").c_str(), 1), 0);
  const auto path = find_model(std::nullopt);
  ASSERT_EQ(unsetenv("COVE_MODEL"), 0);
  ASSERT_TRUE(path);
  EXPECT_EQ(*path, golden("llama"));
}

TEST(ChatSession, streams_what_it_returns) {
  const OpenedModel model = open_tiny();
  ChatSession session(model, greedy(40));
  std::string reasoning;
  std::string content;
  const auto reply = session.ask(
      "hello",
      [&](const text::ReasoningDelta& delta) {
        EXPECT_TRUE(delta.reasoning.empty() || delta.content.empty());
        reasoning += delta.reasoning;
        content += delta.content;
      },
      kNever);
  ASSERT_TRUE(reply) << reply.error().message;
  EXPECT_EQ(reply->reasoning, reasoning);
  EXPECT_EQ(reply->content, content);
  EXPECT_TRUE(is_valid_utf8(content));
  EXPECT_GT(reply->usage.completion_tokens, 0);
}

TEST(ChatSession, a_second_turn_sees_the_first) {
  const OpenedModel model = open_tiny();
  ChatSession session(model, greedy(10));
  const auto ignore = [](const text::ReasoningDelta&) {};
  const auto first = session.ask("hello", ignore, kNever);
  const auto second = session.ask("hello", ignore, kNever);
  ASSERT_TRUE(first && second);
  EXPECT_GT(second->usage.prompt_tokens, first->usage.prompt_tokens + 10);
  session.forget();
  const auto again = session.ask("hello", ignore, kNever);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->usage.prompt_tokens, first->usage.prompt_tokens);
}

TEST(ChatSession, an_interrupted_answer_is_no_part_of_the_conversation) {
  const OpenedModel model = open_tiny();
  ChatSession session(model, greedy(0));
  const auto ignore = [](const text::ReasoningDelta&) {};
  const std::atomic<bool> at_once = true;
  const auto reply = session.ask("hello", ignore, at_once);
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->finish, engine::FinishReason::kCancelled);
  ChatSession fresh(model, greedy(5));
  const auto expected = fresh.ask("hi", ignore, kNever);
  const auto actual = session.ask("hi", ignore, kNever);
  ASSERT_TRUE(expected && actual);
  EXPECT_EQ(actual->usage.prompt_tokens, expected->usage.prompt_tokens);
}

TEST(ChatSession, refuses_what_is_not_text_or_too_long) {
  const OpenedModel model = open_tiny();
  ChatSession session(model, greedy(5));
  const auto ignore = [](const text::ReasoningDelta&) {};
  EXPECT_FALSE(session.ask("\xff\xfe", ignore, kNever));
  const auto too_long = session.ask(std::string(5000, 'x'), ignore, kNever);
  ASSERT_FALSE(too_long);
  EXPECT_NE(too_long.error().message.find("the context holds 512"), std::string::npos) << too_long.error().message;
  EXPECT_TRUE(session.ask("hello", ignore, kNever));
}

}  // namespace
}  // namespace cove::app
