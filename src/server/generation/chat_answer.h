#pragma once
// The answer of /v1/chat/completions, streamed (chat.completion.chunk) or whole (chat.completion).

#include <memory>

#include "server/dto/chat_request.h"
#include "server/generation/answer.h"
#include "server/served_model.h"
#include "services/plugins/plugin_set.h"

namespace cove::server {

struct ChatAnswerOptions {
  AnswerIdentity identity;
  Delivery delivery = Delivery::kWhole;
  size_t choices = 1;
  text::ReasoningStart start = text::ReasoningStart::kOff;
  ReasoningOutput reasoning;
  bool include_usage = false;
  bool logprobs = false;
  bool tools = false;
  std::shared_ptr<plugins::PluginRun> plugins{};  // null = none
  KeepShown keep = KeepShown::kNo;
};

std::unique_ptr<Answer> make_chat_answer(const ServedModel& model, ChatAnswerOptions options);

}  // namespace cove::server
