#pragma once
// From a validated request to what the engine takes: render the template, tokenize, check lengths, fill in the model's
// defaults. CPU-heavy for long prompts: called on the work queue, not on the I/O thread.

#include <string>
#include <vector>

#include "engine/api/engine.h"
#include "server/dto/chat_request.h"
#include "server/dto/completion_request.h"
#include "server/served_model.h"

namespace cove::server {

struct Prepared {
  std::vector<engine::Request> requests;  // one per choice, all prompts times n
  text::ReasoningStart reasoning_start = text::ReasoningStart::kOff;
  std::string rendered;  // the prompt of a chat as text
};

ApiResult<Prepared> prepare_chat(const ServedModel& model, const ChatRequest& request, int64_t now_s);
ApiResult<Prepared> prepare_completion(const ServedModel& model, const CompletionRequest& request);

}  // namespace cove::server
