#include "server/dto/chat_request.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

namespace cove::server {
namespace {

constexpr int32_t kNoLimit = -1;
// Thinking budgets in tokens; a model's own habit is what "high" means.
constexpr std::pair<std::string_view, int32_t> kEfforts[] = {
    {"none", 0},        {"minimal", 128},    {"low", 1024},     {"medium", 4096},
    {"high", kNoLimit}, {"xhigh", kNoLimit}, {"max", kNoLimit},
};

void apply_effort(FieldReader& reader, std::string_view name, std::string_view effort, ChatRequest& request) {
  for (const auto& [known, budget] : kEfforts) {
    if (known != effort) continue;
    request.reasoning_effort = known;
    if (budget == 0) {
      request.thinking.enabled = false;
    } else if (budget != kNoLimit) {
      request.thinking.effort_budget = budget;
    }
    return;
  }
  reader.fail(ApiErrorKind::kInvalidValue, name,
              fmt::format("'{}' must be none, minimal, low, medium, high, xhigh or max, but is '{}'", name, effort));
}

void apply_budget(std::optional<int64_t> budget, ChatRequest& request) {
  if (budget) request.thinking.budget = static_cast<int32_t>(*budget);
}

// Anthropic's and DeepSeek's form: {"type": "enabled" | "disabled", "budget_tokens": 1024}.
void read_thinking(FieldReader& reader, ChatRequest& request) {
  const json::object* thinking = reader.object("thinking");
  if (thinking == nullptr) return;
  FieldReader inner(*thinking, "thinking.");
  if (const auto type = inner.string("type")) {
    if (*type != "enabled" && *type != "disabled" && *type != "adaptive") {
      inner.fail(ApiErrorKind::kInvalidValue, "type", "'thinking.type' must be enabled, disabled or adaptive");
    }
    if (*type != "adaptive") request.thinking.enabled = *type == "enabled";
  }
  apply_budget(inner.integer("budget_tokens", 0, kTokensMax), request);
  if (inner.error()) reader.fail(*inner.error());
}

// OpenRouter's form: {"effort", "max_tokens", "exclude"}; who uses it expects the answer's field to be named
// `reasoning`.
void read_reasoning_object(FieldReader& reader, ChatRequest& request) {
  const json::object* reasoning = reader.object("reasoning");
  if (reasoning == nullptr) return;
  FieldReader inner(*reasoning, "reasoning.");
  if (const auto effort = inner.string("effort")) apply_effort(inner, "effort", *effort, request);
  apply_budget(inner.integer("max_tokens", 0, kTokensMax), request);
  if (inner.boolean("exclude").value_or(false)) request.reasoning.include = false;
  if (const auto enabled = inner.boolean("enabled")) request.thinking.enabled = *enabled;
  request.reasoning.alias = true;
  if (inner.error()) reader.fail(*inner.error());
}

void read_reasoning(FieldReader& reader, ChatRequest& request) {
  if (const auto effort = reader.string("reasoning_effort")) apply_effort(reader, "reasoning_effort", *effort, request);
  read_reasoning_object(reader, request);
  read_thinking(reader, request);
  apply_budget(reader.integer("thinking_budget", 0, kTokensMax), request);
  if (const auto include = reader.boolean("include_reasoning")) request.reasoning.include = *include;
  if (const auto alias = reader.boolean("reasoning_alias")) request.reasoning.alias = *alias;
  if (const json::object* variables = reader.object("chat_template_kwargs")) request.template_variables = *variables;
}

void read_logprobs(FieldReader& reader, ChatRequest& request) {
  request.logprobs = reader.boolean("logprobs").value_or(false);
  const auto top = reader.integer("top_logprobs", 0, 20);
  if (top && *top > 0 && !request.logprobs) {
    reader.fail(ApiErrorKind::kInvalidValue, "top_logprobs",
                "'top_logprobs' is only allowed together with 'logprobs': true");
  }
  request.top_logprobs = static_cast<int32_t>(top.value_or(0));
}

bool has_tool(const ChatRequest& request, std::string_view name) {
  return std::ranges::any_of(request.tools, [name](const json::value& tool) {
    return tool.as_object().at("function").as_object().at("name").as_string() == name;
  });
}

// {"type": "function", "function": {"name": ...}}
void read_named_tool(FieldReader& reader, const json::object& choice, ChatRequest& request) {
  FieldReader inner(choice, "tool_choice.");
  const json::object* function = inner.object("function");
  const json::value* name = function == nullptr ? inner.find("name") : function->if_contains("name");
  if (inner.error()) return reader.fail(*inner.error());
  if (name == nullptr || !name->is_string()) {
    return reader.fail(ApiErrorKind::kMissingParameter, "tool_choice.function.name",
                       "'tool_choice.function.name' is required");
  }
  request.forced_tool = std::string(name->get_string());
  request.tool_choice = ToolChoice::kRequired;
  if (!has_tool(request, request.forced_tool)) {
    reader.fail(ApiErrorKind::kInvalidValue, "tool_choice",
                fmt::format("'tool_choice' names '{}', which 'tools' does not have", request.forced_tool));
  }
}

void read_tool_choice(FieldReader& reader, ChatRequest& request) {
  const json::value* choice = reader.find("tool_choice");
  if (choice == nullptr) return;
  if (const json::object* named = choice->if_object()) return read_named_tool(reader, *named, request);
  const json::string* text = choice->if_string();
  if (text == nullptr) {
    reader.fail(ApiErrorKind::kInvalidType, "tool_choice", "'tool_choice' must be a string or an object");
  } else if (*text == "required" && request.tools.empty()) {
    reader.fail(ApiErrorKind::kInvalidValue, "tool_choice", "'tool_choice' is required, but there are no 'tools'");
  } else if (*text == "required") {
    request.tool_choice = ToolChoice::kRequired;
  } else if (*text == "none") {
    request.tool_choice = ToolChoice::kNone;
  } else if (*text != "auto") {
    reader.fail(ApiErrorKind::kInvalidValue, "tool_choice", "'tool_choice' must be none, auto, required or a function");
  }
}

template <class Parse>
void read_array(FieldReader& reader, std::string_view name, Parse parse, json::array& out) {
  const json::array* list = reader.array(name);
  if (list == nullptr) return;
  auto parsed = parse(*list);
  if (parsed) {
    out = std::move(*parsed);
  } else {
    reader.fail(parsed.error());
  }
}

void read_modalities(FieldReader& reader) {
  const json::array* modalities = reader.array("modalities");
  if (modalities == nullptr) return;
  for (const json::value& item : *modalities) {
    if (item != "text")
      reader.fail(ApiErrorKind::kUnsupportedParameter, "modalities", "only text comes out of this model");
  }
}

}  // namespace

ApiResult<ChatRequest> parse_chat_request(std::string_view body) {
  auto object = parse_body(body);
  if (!object) return tl::make_unexpected(object.error());
  FieldReader reader(*object);
  ChatRequest request;
  if (!reader.has("messages")) {
    reader.fail(ApiErrorKind::kMissingParameter, "messages", "'messages' is required: an array of {role, content}");
  }
  read_array(reader, "messages", parse_messages, request.messages);
  request.fields = read_generation_fields(reader);
  read_array(reader, "tools", parse_tools, request.tools);
  read_tool_choice(reader, request);
  request.constraint = read_constraint(reader);
  read_logprobs(reader, request);
  read_reasoning(reader, request);
  read_modalities(reader);
  refuse_fields(reader,
                {{"functions", "use 'tools'"},
                 {"function_call", "use 'tool_choice'"},
                 {"audio", "this model writes text"},
                 {"continue_final_message", "the answer always begins after the template's generation prompt"}});
  if (reader.error()) return tl::make_unexpected(*reader.error());
  return request;
}

}  // namespace cove::server
