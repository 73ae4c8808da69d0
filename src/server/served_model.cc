#include "server/served_model.h"

#include <algorithm>

#include <boost/json.hpp>

namespace cove::server {
namespace {

// Renders a conversation with a tool call, its arguments once as text and once as an object, and looks which one comes
// out as JSON.
ToolArguments probe_tool_arguments(const text::ChatTemplate& chat_template) {
  const auto comes_out = [&](json::value arguments) {
    json::object call = {{"id", "call_0"},
                         {"type", "function"},
                         {"function", json::object{{"name", "probe"}, {"arguments", std::move(arguments)}}}};
    json::array messages = {
        json::object{{"role", "user"}, {"content", "probe"}},
        json::object{{"role", "assistant"}, {"content", nullptr}, {"tool_calls", json::array{call}}},
        json::object{{"role", "tool"}, {"content", "1"}, {"tool_call_id", "call_0"}}};
    json::object variables = {
        {"messages", std::move(messages)}, {"add_generation_prompt", true}, {"bos_token", ""}, {"eos_token", ""}};
    const auto rendered = chat_template.render(variables, 0);
    if (!rendered) return false;
    return rendered->find(R"({"key_of_probe": 1})") != std::string::npos ||
           rendered->find(R"({"key_of_probe":1})") != std::string::npos;
  };
  if (comes_out(json::value(R"({"key_of_probe": 1})"))) return ToolArguments::kText;
  if (comes_out(json::object{{"key_of_probe", 1}})) return ToolArguments::kObject;
  return ToolArguments::kText;
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
  if (model->chat_template != nullptr) model->tool_arguments = probe_tool_arguments(*model->chat_template);
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
