#include "text/chat/tool_call_parser.h"

#include <algorithm>
#include <optional>
#include <utility>

#include <boost/json/object.hpp>
#include <boost/json/string.hpp>

#include "base/json.h"
#include "text/chat/tag_search.h"

namespace cove::text {
namespace {

constexpr std::string_view kCallsBegin = "<｜tool▁calls▁begin｜>";
constexpr std::string_view kCallsEnd = "<｜tool▁calls▁end｜>";
constexpr std::string_view kCallBegin = "<｜tool▁call▁begin｜>";
constexpr std::string_view kCallEnd = "<｜tool▁call▁end｜>";
constexpr std::string_view kSeparator = "<｜tool▁sep｜>";
constexpr std::string_view kHermesBegin = "<tool_call>";
constexpr std::string_view kHermesEnd = "</tool_call>";

bool reads_deepseek(ToolCallFormat format) {
  return format == ToolCallFormat::kDeepSeek || format == ToolCallFormat::kAny;
}
bool reads_hermes(ToolCallFormat format) { return format == ToolCallFormat::kHermes || format == ToolCallFormat::kAny; }

std::string_view trimmed(std::string_view text) {
  text.remove_prefix(leading_space(text));
  const size_t last = text.find_last_not_of(" \t\r\n");
  return text.substr(0, last == std::string_view::npos ? 0 : last + 1);
}

bool is_json_object(std::string_view text) {
  const Result<json::value> value = parse_json(text);
  return value && value->is_object();
}

// The JSON between ```json and ```; the text itself when there is no fence.
std::string_view without_fence(std::string_view text) {
  text = trimmed(text);
  if (!text.starts_with("```")) return text;
  const size_t line_end = text.find('\n');
  if (line_end == std::string_view::npos) return text;
  text.remove_prefix(line_end + 1);
  text = trimmed(text);
  if (text.ends_with("```")) text.remove_suffix(3);
  return trimmed(text);
}

// "function<sep>NAME\n```json\n{...}\n```" or "NAME<sep>{...}"
std::optional<ToolCall> parse_deepseek_call(std::string_view body) {
  const size_t separator = body.find(kSeparator);
  if (separator == std::string_view::npos) return std::nullopt;
  std::string_view name = trimmed(body.substr(0, separator));
  std::string_view arguments = body.substr(separator + kSeparator.size());
  if (name == "function" && !trimmed(arguments).starts_with('{')) {
    const size_t line_end = arguments.find('\n');
    if (line_end == std::string_view::npos) return std::nullopt;
    name = trimmed(arguments.substr(0, line_end));
    arguments.remove_prefix(line_end + 1);
  }
  arguments = without_fence(arguments);
  if (name.empty() || !is_json_object(arguments)) return std::nullopt;
  return ToolCall{.name = std::string(name), .arguments = std::string(arguments)};
}

// End of the JSON value that begins at `at`, in text known to be valid JSON.
size_t json_value_end(std::string_view text, size_t at) {
  int depth = 0;
  bool in_string = false;
  for (; at < text.size(); ++at) {
    const char c = text[at];
    if (in_string) {
      if (c == '\\') {
        ++at;
      } else if (c == '"') {
        in_string = false;
      }
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      ++depth;
    } else if (c == '}' || c == ']') {
      if (depth == 0) return at;
      --depth;
    } else if (c == ',' && depth == 0) {
      return at;
    }
  }
  return at;
}

// The text of a member's value in a valid JSON object, as written.
std::optional<std::string_view> member_text(std::string_view object, std::string_view name) {
  size_t at = object.find('{') + 1;
  while (at < object.size()) {
    const size_t key_begin = object.find('"', at);
    if (key_begin == std::string_view::npos) return std::nullopt;
    size_t key_end = key_begin + 1;
    while (key_end < object.size() && object[key_end] != '"') key_end += object[key_end] == '\\' ? 2 : 1;
    const size_t colon = object.find(':', key_end);
    if (colon == std::string_view::npos) return std::nullopt;
    const size_t end = json_value_end(object, colon + 1);
    if (object.substr(key_begin + 1, key_end - key_begin - 1) == name) {
      return trimmed(object.substr(colon + 1, end - colon - 1));
    }
    at = end + 1;
  }
  return std::nullopt;
}

// {"name": ..., "arguments": {...}}; Llama's "parameters" and arguments as a string of JSON are understood, too.
std::optional<ToolCall> parse_hermes_call(std::string_view body) {
  const Result<json::value> value = parse_json(body);
  if (!value || !value->is_object()) return std::nullopt;
  const json::value* name = find_member(*value, "name");
  if (name == nullptr || !name->is_string() || name->get_string().empty()) return std::nullopt;
  const char* key = find_member(*value, "arguments") != nullptr ? "arguments" : "parameters";
  const json::value* arguments = find_member(*value, key);
  ToolCall call{.name = std::string(name->get_string()), .arguments = "{}"};
  if (arguments == nullptr) return call;
  if (arguments->is_object()) {
    const std::optional<std::string_view> text = member_text(body, key);
    if (!text) return std::nullopt;
    call.arguments = *text;
    return call;
  }
  if (!arguments->is_string() || !is_json_object(arguments->get_string())) return std::nullopt;
  call.arguments = std::string(arguments->get_string());
  return call;
}

struct Found {
  size_t at = std::string_view::npos;
  std::string_view tag;
};

Found find_first(std::string_view text, std::initializer_list<std::string_view> tags) {
  Found first;
  for (const std::string_view tag : tags) {
    const size_t at = text.find(tag);
    if (at < first.at) first = {at, tag};
  }
  return first;
}

}  // namespace

ToolCallFormat detect_tool_call_format(std::string_view template_source) {
  if (template_source.find("tool▁call▁begin") != std::string_view::npos) return ToolCallFormat::kDeepSeek;
  if (template_source.find("<tool_call>") != std::string_view::npos) return ToolCallFormat::kHermes;
  return ToolCallFormat::kNone;
}

std::vector<ToolDelta> ToolCallParser::push(std::string_view text) {
  held_ += text;
  std::vector<ToolDelta> out;
  while (!held_.empty() && step(out) == Progress::kGoOn) {}
  return out;
}

ToolCallParser::Progress ToolCallParser::step(std::vector<ToolDelta>& out) {
  switch (state_) {
    case State::kText: return step_text(out);
    case State::kSection: return step_section(out);
    case State::kDeepSeekCall:
    case State::kHermesCall: return step_call(out);
    case State::kAfterCalls: held_.clear(); return Progress::kWait;
  }
  return Progress::kWait;
}

// White space in front of everything waits: it is content only when text follows.
void ToolCallParser::add_content(std::string_view text, std::vector<ToolDelta>& out) {
  if (!seen_text_) {
    const size_t space = leading_space(text);
    space_ += text.substr(0, space);
    text.remove_prefix(space);
    if (text.empty()) return;
    seen_text_ = true;
    out.push_back({.content = std::exchange(space_, {}) + std::string(text), .calls = {}});
    return;
  }
  if (!text.empty()) out.push_back({.content = std::string(text), .calls = {}});
}

ToolCallParser::Progress ToolCallParser::step_text(std::vector<ToolDelta>& out) {
  size_t certain = held_.size();
  Found tag;
  const auto look = [&](std::string_view wanted) {
    const size_t at = held_.find(wanted);
    if (at < tag.at) tag = {at, wanted};
    certain = std::min(certain, held_.size() - partial_tag_at_end(held_, wanted));
  };
  if (reads_deepseek(format_)) {
    look(kCallsBegin);
    look(kCallBegin);
    if (calls_found_ > 0) look(kCallsEnd);
  }
  if (reads_hermes(format_)) look(kHermesBegin);
  if (tag.at != std::string_view::npos) {
    add_content(std::string_view(held_).substr(0, tag.at), out);
    held_.erase(0, tag.at + tag.tag.size());
    if (tag.tag == kCallsEnd) {
      state_ = State::kAfterCalls;
      return Progress::kGoOn;
    }
    tags_ = tag.tag;
    state_ = tag.tag == kCallsBegin  ? State::kSection
             : tag.tag == kCallBegin ? State::kDeepSeekCall
                                     : State::kHermesCall;
    return Progress::kGoOn;
  }
  add_content(std::string_view(held_).substr(0, certain), out);
  held_.erase(0, certain);
  return Progress::kWait;
}

ToolCallParser::Progress ToolCallParser::step_section(std::vector<ToolDelta>& out) {
  const size_t space = leading_space(held_);
  const std::string_view rest = std::string_view(held_).substr(space);
  if (rest.starts_with(kCallBegin)) {
    tags_ += held_.substr(0, space + kCallBegin.size());
    held_.erase(0, space + kCallBegin.size());
    state_ = State::kDeepSeekCall;
    return Progress::kGoOn;
  }
  if (rest.starts_with(kCallsEnd) && calls_found_ > 0) {
    held_.clear();
    state_ = State::kAfterCalls;
    return Progress::kWait;
  }
  if (rest.empty() || may_become(rest, kCallBegin) || may_become(rest, kCallsEnd)) return Progress::kWait;
  add_content(std::exchange(tags_, {}), out);
  state_ = State::kText;
  return Progress::kGoOn;
}

ToolCallParser::Progress ToolCallParser::step_call(std::vector<ToolDelta>& out) {
  const bool hermes = state_ == State::kHermesCall;
  const Found end = hermes ? find_first(held_, {kHermesEnd}) : find_first(held_, {kCallEnd, kCallsEnd, kCallBegin});
  if (end.at == std::string_view::npos) return Progress::kWait;
  const std::string body = held_.substr(0, end.at);
  // Only the call's own end tag is used up; another begin or the section's end is read again.
  const bool own_end = end.tag == kCallEnd || end.tag == kHermesEnd;
  held_.erase(0, end.at + (own_end ? end.tag.size() : 0));
  complete_call(body, own_end ? end.tag : "", out);
  return Progress::kGoOn;
}

void ToolCallParser::complete_call(std::string_view body, std::string_view end_tag, std::vector<ToolDelta>& out) {
  const bool hermes = state_ == State::kHermesCall;
  std::optional<ToolCall> call = hermes ? parse_hermes_call(body) : parse_deepseek_call(body);
  const std::string tags = std::exchange(tags_, {});
  state_ = hermes ? State::kText : State::kSection;
  if (call) {
    call->index = calls_found_++;
    space_.clear();
    if (hermes) seen_text_ = false;  // the newline between calls is no content either
    out.push_back({.content = {}, .calls = {*std::move(call)}});
    return;
  }
  add_content(tags + std::string(body) + std::string(end_tag), out);
  if (!hermes && calls_found_ == 0) state_ = State::kText;
}

std::vector<ToolDelta> ToolCallParser::finish() {
  std::vector<ToolDelta> out;
  // A model may stop right after the arguments, without the end tag.
  if (state_ == State::kDeepSeekCall || state_ == State::kHermesCall) {
    complete_call(std::exchange(held_, {}), "", out);
  } else if (state_ == State::kSection) {
    // Space or the begin of an end tag behind a call is nothing; a section without any call is text.
    if (!tags_.empty()) add_content(tags_ + held_, out);
  } else if (state_ == State::kText) {
    add_content(held_, out);
    if (calls_found_ == 0 && !space_.empty()) out.push_back({.content = std::exchange(space_, {}), .calls = {}});
  }
  held_.clear();
  tags_.clear();
  state_ = State::kAfterCalls;
  return out;
}

}  // namespace cove::text
