#include "server/generation/prompt_filter.h"

#include <deque>

#include <fmt/format.h>
#include <boost/json.hpp>

#include "base/utf8.h"

namespace cove::server {
namespace {

// Texts on their way to the plugins and back to where they came from.
class Slots {
 public:
  void add(std::string_view role, json::value& value) {
    values_.push_back(&value);
    const std::string text = value.is_string() ? std::string(value.get_string()) : json::serialize(value);
    input.texts.push_back({std::string(role), text});
    before_.push_back(text);
  }

  // Every string in `value`, and whole numbers (an account number need not be a string). Of definitions the structure
  // is left alone.
  void add_all(std::string_view role, json::value& value) {
    if (value.is_string() || value.is_int64() || value.is_uint64()) return add(role, value);
    if (json::array* items = value.if_array()) {
      for (json::value& item : *items) add_all(role, item);
    }
    if (json::object* members = value.if_object()) {
      for (auto& member : *members) {
        if (role != "tools" || !is_structure(member.key())) add_all(role, member.value());
      }
    }
  }

  // Arguments are JSON in a string: what is changed are the strings in it.
  void add_arguments(json::value& arguments) {
    if (!arguments.is_string()) return add_all("tool_call", arguments);
    const json::string& text = arguments.get_string();
    auto parsed = parse_json({text.data(), text.size()});
    if (!parsed) return add("tool_call", arguments);
    arguments_.push_back({&arguments, std::move(*parsed)});
    add_all("tool_call", arguments_.back().parsed);
  }

  void put_back() {
    bool any = false;
    for (size_t i = 0; i < values_.size(); ++i) {
      if (input.texts[i].text == before_[i]) continue;
      *values_[i] = json::string(input.texts[i].text);
      any = true;
    }
    if (!any) return;
    for (Arguments& one : arguments_) *one.text = json::string(json::serialize(one.parsed));
  }

  plugins::Input input;

 private:
  struct Arguments {
    json::value* text;
    json::value parsed;
  };
  static bool is_structure(std::string_view key) {
    return key == "type" || key == "name" || key == "required" || key == "$ref" || key == "format" || key == "strict";
  }

  std::vector<json::value*> values_;
  std::vector<std::string> before_;
  std::deque<Arguments> arguments_;  // a deque: its members are pointed to
};

void add_message(json::object& message, Slots& slots) {
  const std::string role(message["role"].as_string());
  if (message["content"].is_string()) slots.add(role, message["content"]);
  if (json::value* name = message.if_contains("name"); name != nullptr && name->is_string()) slots.add(role, *name);
  json::value* calls = message.if_contains("tool_calls");
  if (calls == nullptr || !calls->is_array()) return;
  for (json::value& call : calls->get_array())
    slots.add_arguments(call.as_object()["function"].as_object()["arguments"]);
}

void add_system(json::array& messages, const std::string& system) {
  json::object* first = messages[0].if_object();
  if (first != nullptr && (*first)["role"] == "system" && (*first)["content"].is_string()) {
    (*first)["content"] = system + "\n\n" + std::string((*first)["content"].get_string());
    return;
  }
  messages.insert(messages.begin(), json::object{{"role", "system"}, {"content", system}});
}

std::optional<ApiError> outcome(const Result<plugins::PromptVerdict>& verdict, std::string_view param) {
  if (!verdict) return ApiError{ApiErrorKind::kPluginFailed, verdict.error().message, {}};
  if (verdict->decision == plugins::Decision::kPass) return std::nullopt;
  const std::string why = verdict->message.empty() ? "the prompt is not allowed here" : verdict->message;
  return ApiError{ApiErrorKind::kContentFilter, fmt::format("{} (plugin '{}')", why, verdict->plugin),
                  std::string(param)};
}

}  // namespace

std::string text_of_tokens(const text::Tokenizer& tokenizer, const std::vector<int32_t>& ids) {
  std::string text;
  for (const int32_t id : ids) {
    if (id >= 0 && id < tokenizer.vocab_size()) text += tokenizer.token_bytes(id);
  }
  return replace_invalid_utf8(text);
}

std::optional<ApiError> filter_prompt(plugins::PluginRun& run, ChatRequest& request) {
  if (!run.acts_at(plugins::Stage::kPrompt)) return std::nullopt;
  Slots slots;
  for (json::value& message : request.messages) add_message(message.as_object(), slots);
  for (json::value& tool : request.tools) slots.add_all("tools", tool);
  if (auto refused = outcome(run.preprocess(slots.input), "messages")) return refused;
  slots.put_back();
  if (!slots.input.system.empty()) add_system(request.messages, slots.input.system);
  return std::nullopt;
}

std::optional<ApiError> filter_prompt(plugins::PluginRun& run, const ServedModel& model, CompletionRequest& request) {
  if (!run.acts_at(plugins::Stage::kPrompt)) return std::nullopt;
  plugins::Input input;
  for (const Prompt& prompt : request.prompts) {
    const auto* ids = std::get_if<std::vector<int32_t>>(&prompt);
    input.texts.push_back(
        {"prompt", ids == nullptr ? std::get<std::string>(prompt) : text_of_tokens(*model.tokenizer, *ids)});
  }
  const plugins::Input before = input;
  if (auto refused = outcome(run.preprocess(input), "prompt")) return refused;
  for (size_t i = 0; i < request.prompts.size(); ++i) {
    if (input.texts[i].text != before.texts[i].text) request.prompts[i] = input.texts[i].text;
  }
  return std::nullopt;
}

ApiError refuse_logprobs() {
  return {
      ApiErrorKind::kUnsupportedParameter,
      "'logprobs' is not available here: plugins filter the answer, and log probabilities would show what they hide",
      "logprobs"};
}

}  // namespace cove::server
