#pragma once
// The answer of /v1/completions: raw text, nothing split off.

#include <memory>

#include "server/generation/answer.h"
#include "server/served_model.h"
#include "services/plugins/plugin_set.h"

namespace cove::server {

struct CompletionAnswerOptions {
  AnswerIdentity identity;
  Delivery delivery = Delivery::kWhole;
  size_t choices = 1;             // of all prompts together
  size_t choices_per_prompt = 1;  // n
  bool include_usage = false;
  bool logprobs = false;
  std::shared_ptr<plugins::PluginRun> plugins{};  // null = none
  KeepShown keep = KeepShown::kNo;
};

std::unique_ptr<Answer> make_completion_answer(const ServedModel& model, CompletionAnswerOptions options);

}  // namespace cove::server
