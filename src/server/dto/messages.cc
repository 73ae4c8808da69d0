// Messages of a chat request: every role's own rules, and what the template gets to see of them.
#include <string>

#include <fmt/format.h>

#include "server/dto/chat_request.h"

namespace cove::server {
namespace {

constexpr std::string_view kThinkClose = "</think>";

// Text of a content array: text parts joined by newlines, as vLLM and llama.cpp do.
std::optional<std::string> join_parts(FieldReader& message, const json::array& parts, const std::string& prefix) {
  std::string text;
  for (size_t i = 0; i < parts.size(); ++i) {
    const std::string name = fmt::format("content[{}]", i);
    const json::object* part = parts[i].if_object();
    if (part == nullptr) {
      message.fail(ApiErrorKind::kInvalidType, name, fmt::format("'{}{}' must be an object with a type", prefix, name));
      return std::nullopt;
    }
    FieldReader reader(*part, prefix + name + ".");
    const auto type = reader.string("type");
    if (type && *type != "text" && *type != "refusal") {
      reader.fail(ApiErrorKind::kUnsupportedParameter, "type",
                  fmt::format("'{}{}' is of type '{}', but this model reads text only", prefix, name, *type));
    }
    const auto piece = reader.string(type == "refusal" ? "refusal" : "text");
    if (!reader.error() && (!type || !piece)) {
      reader.fail(ApiErrorKind::kMissingParameter, "text", fmt::format("'{}{}' needs 'type' and 'text'", prefix, name));
    }
    if (reader.error()) {
      message.fail(*reader.error());
      return std::nullopt;
    }
    if (i > 0) text += "\n";
    text += *piece;
  }
  return text;
}

std::optional<std::string> read_content(FieldReader& message, const std::string& prefix) {
  const json::value* content = message.find("content");
  if (content == nullptr) return std::nullopt;
  if (const json::string* text = content->if_string()) return std::string(*text);
  if (const json::array* parts = content->if_array()) return join_parts(message, *parts, prefix);
  message.fail(
      ApiErrorKind::kInvalidType, "content",
      fmt::format("'{}content' must be a string or an array of parts, but is {}", prefix, json_kind(*content)));
  return std::nullopt;
}

// What was thought in earlier turns is not shown to the model again, whether it came apart (reasoning_content) or
// inside the content.
std::string without_reasoning(std::string content) {
  const size_t close = content.rfind(kThinkClose);
  if (close == std::string::npos) return content;
  const size_t begin = content.find_first_not_of("\r\n", close + kThinkClose.size());
  return begin == std::string::npos ? std::string() : content.substr(begin);
}

bool read_tool_call(FieldReader& message, const json::value& value, const std::string& name, json::array& out) {
  const json::object* call = value.if_object();
  const json::value* function = call == nullptr ? nullptr : call->if_contains("function");
  const json::value* function_name = function == nullptr ? nullptr : find_member(*function, "name");
  if (function_name == nullptr || !function_name->is_string()) {
    message.fail(ApiErrorKind::kInvalidValue, name,
                 fmt::format("'{}' must be {{id, type, function: {{name, arguments}}}}", name));
    return false;
  }
  const json::value* arguments = find_member(*function, "arguments");
  if (arguments != nullptr && !arguments->is_string() && !arguments->is_object()) {
    message.fail(ApiErrorKind::kInvalidType, name + ".function.arguments",
                 "arguments must be a string that holds JSON");
    return false;
  }
  json::object copy = *call;
  json::object& inner = copy["function"].as_object();
  if (arguments == nullptr) inner["arguments"] = "{}";
  copy["type"] = "function";
  out.push_back(std::move(copy));
  return true;
}

void read_tool_calls(FieldReader& message, const std::string& prefix, json::object& out) {
  const json::array* calls = message.array("tool_calls");
  if (calls == nullptr || calls->empty()) return;
  json::array read;
  for (size_t i = 0; i < calls->size(); ++i) {
    if (!read_tool_call(message, (*calls)[i], fmt::format("{}tool_calls[{}]", prefix, i), read)) return;
  }
  out["tool_calls"] = std::move(read);
}

void read_assistant(FieldReader& message, const std::string& prefix, std::optional<std::string> content,
                    json::object& out) {
  read_tool_calls(message, prefix, out);
  const bool calls = out.contains("tool_calls");
  if (content) content = without_reasoning(std::move(*content));
  if (!content && !calls && !message.has("refusal") && !message.has("reasoning_content")) {
    message.fail(ApiErrorKind::kMissingParameter, "content",
                 fmt::format("'{}content' is required for an assistant message without tool_calls", prefix));
  }
  // Templates tell a message with tool calls from an answer by its missing content.
  if (calls && (!content || content->empty())) {
    out["content"] = nullptr;
  } else {
    out["content"] = content.value_or("");
  }
}

void read_plain(FieldReader& message, const std::string& prefix, const std::optional<std::string>& content,
                json::object& out) {
  if (!content) {
    message.fail(ApiErrorKind::kMissingParameter, "content", fmt::format("'{}content' is required", prefix));
    return;
  }
  out["content"] = *content;
}

std::optional<std::string> read_role(FieldReader& message, const std::string& prefix) {
  const auto role = message.string("role");
  if (message.error()) return std::nullopt;
  if (!role) {
    message.fail(ApiErrorKind::kMissingParameter, "role", fmt::format("'{}role' is required", prefix));
    return std::nullopt;
  }
  if (*role == "developer") return "system";
  if (*role == "system" || *role == "user" || *role == "assistant" || *role == "tool") return role;
  message.fail(ApiErrorKind::kInvalidValue, "role",
               fmt::format("'{}role' must be system, developer, user, assistant or tool, but is '{}'", prefix, *role));
  return std::nullopt;
}

ApiResult<json::object> parse_message(const json::value& value, size_t index) {
  const std::string prefix = fmt::format("messages[{}].", index);
  const json::object* object = value.if_object();
  if (object == nullptr) {
    const std::string name = fmt::format("messages[{}]", index);
    return tl::make_unexpected(ApiError{
        ApiErrorKind::kInvalidType, fmt::format("'{}' must be an object, but is {}", name, json_kind(value)), name});
  }
  FieldReader message(*object, prefix);
  json::object out;
  if (const auto role = read_role(message, prefix)) {
    out["role"] = *role;
    auto content = read_content(message, prefix);
    if (*role == "assistant") {
      read_assistant(message, prefix, std::move(content), out);
    } else {
      read_plain(message, prefix, content, out);
    }
    if (const auto name = message.string("name")) out["name"] = *name;
    if (const auto id = message.string("tool_call_id")) out["tool_call_id"] = *id;
  }
  if (message.error()) return tl::make_unexpected(*message.error());
  return out;
}

}  // namespace

ApiResult<json::array> parse_messages(const json::array& messages) {
  if (messages.empty()) {
    return tl::make_unexpected(ApiError{ApiErrorKind::kInvalidValue, "'messages' must not be empty", "messages"});
  }
  json::array out;
  out.reserve(messages.size());
  for (size_t i = 0; i < messages.size(); ++i) {
    auto message = parse_message(messages[i], i);
    if (!message) return tl::make_unexpected(message.error());
    out.push_back(std::move(*message));
  }
  return out;
}

}  // namespace cove::server
