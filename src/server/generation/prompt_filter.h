#pragma once
// The plugins' work on a prompt, between reading the request and rendering the template. On the work queue, or where
// plugins may wait.

#include "server/dto/chat_request.h"
#include "server/dto/completion_request.h"
#include "server/served_model.h"
#include "services/plugins/plugin_set.h"

namespace cove::server {

// Changes the request's texts: contents of messages and their names, strings in the arguments of tool calls and in the
// definitions of tools. Errors: kContentFilter, kPluginFailed.
std::optional<ApiError> filter_prompt(plugins::PluginRun& run, ChatRequest& request);
// Prompts given as token ids are read as text; they stay as they are unless a plugin changes that text.
std::optional<ApiError> filter_prompt(plugins::PluginRun& run, const ServedModel& model, CompletionRequest& request);

// What these ids say, as UTF-8: what is none becomes U+FFFD, ids that do not exist become nothing.
std::string text_of_tokens(const text::Tokenizer& tokenizer, const std::vector<int32_t>& ids);

// For a request whose answer is filtered: log probabilities would show the tokens that the filters hide.
ApiError refuse_logprobs();

}  // namespace cove::server
