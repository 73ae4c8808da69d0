#pragma once
// The body of POST /v1/chat/completions, validated. Unknown fields are ignored, as OpenAI-compatible servers do.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "server/dto/constraint_fields.h"
#include "server/dto/generation_fields.h"

namespace cove::server {

enum class ToolChoice : uint8_t { kAuto, kNone, kRequired };

struct ThinkingFields {
  std::optional<bool> enabled;    // unset = as the model's template does by itself
  std::optional<int32_t> budget;  // tokens, asked for as such; unset = no limit
  std::optional<int32_t>
      effort_budget;  // tokens, from reasoning_effort: a wish, dropped where the model cannot be held to it
};

// How reasoning shows in the answer.
struct ReasoningOutput {
  bool include = true;  // false: it is generated but left out
  bool alias = false;   // also as `reasoning`, besides `reasoning_content`
};

struct ChatRequest {
  GenerationFields fields;
  // As the template sees them: role, content (text or null), name, tool_calls, tool_call_id. Content parts are joined,
  // reasoning of earlier turns is dropped, `developer` is `system`.
  json::array messages;
  json::array tools;
  ToolChoice tool_choice = ToolChoice::kAuto;
  std::string forced_tool;  // kRequired: this function; empty = any
  ConstraintFields constraint;
  bool logprobs = false;
  int32_t top_logprobs = 0;
  ThinkingFields thinking;
  ReasoningOutput reasoning;
  std::string reasoning_effort;
  json::object template_variables;  // chat_template_kwargs
};

ApiResult<ChatRequest> parse_chat_request(std::string_view body);

// messages.cc
ApiResult<json::array> parse_messages(const json::array& messages);
// tools.cc
ApiResult<json::array> parse_tools(const json::array& tools);

}  // namespace cove::server
