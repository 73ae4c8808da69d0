#include "server/served_model.h"

#include <algorithm>

#include <boost/json.hpp>

namespace cove::server {
namespace {

constexpr std::string_view kProbe = R"({"key_of_probe": 1})";
constexpr std::string_view kProbeCompact = R"({"key_of_probe":1})";

// A conversation with a tool call, rendered.
std::string render_tool_call(const text::ChatTemplate& chat_template, json::value arguments) {
  json::object call = {{"id", "call_0"},
                       {"type", "function"},
                       {"function", json::object{{"name", "probe"}, {"arguments", std::move(arguments)}}}};
  json::array messages = {json::object{{"role", "user"}, {"content", "probe"}},
                          json::object{{"role", "assistant"}, {"content", nullptr}, {"tool_calls", json::array{call}}},
                          json::object{{"role", "tool"}, {"content", "1"}, {"tool_call_id", "call_0"}}};
  json::object variables = {
      {"messages", std::move(messages)}, {"add_generation_prompt", true}, {"bos_token", ""}, {"eos_token", ""}};
  return chat_template.render(variables, 0).value_or("");
}

// Which form of arguments comes out as JSON, and between which tags.
void probe_tool_calls(const text::ChatTemplate& chat_template, ServedModel& model) {
  const auto comes_out = [](const std::string& rendered) {
    return rendered.find(kProbe) != std::string::npos || rendered.find(kProbeCompact) != std::string::npos;
  };
  std::string rendered = render_tool_call(chat_template, json::value(kProbe));
  if (!comes_out(rendered)) {
    rendered = render_tool_call(chat_template, json::object{{"key_of_probe", 1}});
    if (!comes_out(rendered)) return;
    model.tool_arguments = ToolArguments::kObject;
  }
  if (rendered.find("<tool_call>") != std::string::npos) model.tool_calls = text::ToolCallFormat::kHermes;
  if (rendered.find("<｜tool▁call▁begin｜>") != std::string::npos) model.tool_calls = text::ToolCallFormat::kDeepSeek;
  if (rendered.find("```json") == std::string::npos) model.deepseek_calls = text::grammar::DeepSeekCalls::kPlain;
}

}  // namespace

bool ServedModel::answers_to(const std::string& model_name) const {
  return model_name.empty() || model_name == name || std::ranges::find(aliases, model_name) != aliases.end();
}

std::shared_ptr<const ServedModel> serve_model(ServedModelParts parts, int64_t now_s) {
  auto model = std::make_shared<ServedModel>();
  static_cast<ServedModelParts&>(*model) = std::move(parts);
  model->created_s = now_s;
  std::string digest = model->engine->model().digest;
  digest.erase(0, digest.find(':') + 1);  // "sha256:..."
  model->fingerprint = "fp_" + digest.substr(0, std::min<size_t>(digest.size(), 12));
  if (model->chat_template != nullptr) probe_tool_calls(*model->chat_template, *model);
  model->vocabulary = std::make_shared<const text::grammar::SortedVocabulary>(*model->tokenizer);
  model->think_close_token = model->tokenizer->find_token(text::ReasoningFormat{}.close);
  for (int32_t id = 0; id < model->tokenizer->vocab_size(); ++id) {
    model->token_bytes_max = std::max(model->token_bytes_max, model->tokenizer->token_bytes(id).size());
  }
  const std::string close = text::ReasoningFormat{}.close + "\n\n";
  if (auto ids = model->tokenizer->encode("\n" + close)) model->think_close_tokens = std::move(*ids);
  if (auto ids = model->tokenizer->encode(close)) model->no_thinking_tokens = std::move(*ids);
  return model;
}

}  // namespace cove::server
