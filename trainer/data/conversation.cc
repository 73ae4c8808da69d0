#include "data/conversation.h"

#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>

namespace cove::trainer {
namespace {

std::string calls_text(const std::vector<ToolCall>& calls) {
  std::string out = "<｜tool▁calls▁begin｜>";
  for (size_t i = 0; i < calls.size(); ++i) {
    if (i > 0) out += "\n";
    out += "<｜tool▁call▁begin｜>function<｜tool▁sep｜>" + calls[i].name + "\n```json\n" + calls[i].arguments +
           "\n```<｜tool▁call▁end｜>";
  }
  return out + "<｜tool▁calls▁end｜>";
}

std::string tools_text(const std::vector<ToolDeclaration>& tools) {
  std::string out = "## Tools\n";
  for (const ToolDeclaration& tool : tools) {
    out += "\n" + tool.name + "(";
    for (size_t i = 0; i < tool.parameters.size(); ++i) {
      out += (i == 0 ? "" : ", ") + tool.parameters[i].name + ": " + tool.parameters[i].description;
    }
    out += "): " + tool.description;
  }
  return out;
}

std::string head_text(const Sample& sample) {
  std::string system;
  for (const Message& message : sample.messages) {
    if (message.role == Role::kSystem) system += (system.empty() ? "" : "\n\n") + message.content;
  }
  if (!sample.tools.empty()) system += (system.empty() ? "" : "\n\n") + tools_text(sample.tools);
  return std::string(kBos) + system;
}

std::string_view role_name(Role role) {
  switch (role) {
    case Role::kSystem: return "system";
    case Role::kUser: return "user";
    case Role::kAssistant: return "assistant";
    case Role::kTool: break;
  }
  return "tool";
}

boost::json::object message_json(const Message& message) {
  boost::json::object out{{"role", role_name(message.role)}, {"content", message.content}};
  if (message.calls.empty()) return out;
  boost::json::array calls;
  for (const ToolCall& call : message.calls) {
    calls.push_back(
        boost::json::object{{"type", "function"}, {"function", {{"name", call.name}, {"arguments", call.arguments}}}});
  }
  out["tool_calls"] = std::move(calls);
  return out;
}

boost::json::object tool_json(const ToolDeclaration& tool) {
  boost::json::object properties;
  boost::json::array required;
  for (const ToolParameter& p : tool.parameters) {
    properties[p.name] = boost::json::object{{"type", "string"}, {"description", p.description}};
    required.emplace_back(p.name);
  }
  boost::json::object parameters{
      {"type", "object"}, {"properties", std::move(properties)}, {"required", std::move(required)}};
  return {
      {"type", "function"},
      {"function", {{"name", tool.name}, {"description", tool.description}, {"parameters", std::move(parameters)}}}};
}

}  // namespace

std::string render_prompt(const Sample& sample) {
  std::string out = head_text(sample);
  bool outputs_open = false;
  for (const Message& message : sample.messages) {
    if (message.role == Role::kSystem) continue;
    if (message.role == Role::kTool) {
      out += outputs_open ? "\n" : "<｜tool▁outputs▁begin｜>";
      out += "<｜tool▁output▁begin｜>" + message.content + "<｜tool▁output▁end｜>";
      outputs_open = true;
      continue;
    }
    if (outputs_open) out += "<｜tool▁outputs▁end｜>";
    outputs_open = false;
    if (message.role == Role::kUser) {
      out += "<｜User｜>" + message.content;
    } else {
      out += "<｜Assistant｜>" + message.content + (message.calls.empty() ? "" : calls_text(message.calls)) +
             std::string(kEos);
    }
  }
  if (outputs_open) out += "<｜tool▁outputs▁end｜>";
  return out + "<｜Assistant｜><think>\n";
}

std::string render_answer(const Sample& sample) {
  return sample.calls.empty() ? sample.answer : sample.answer + calls_text(sample.calls);
}

std::string render_completion(const Sample& sample) {
  return sample.reasoning + "\n</think>\n\n" + render_answer(sample) + std::string(kEos);
}

boost::json::object request_json(const Sample& sample) {
  boost::json::array messages;
  for (const Message& message : sample.messages) messages.push_back(message_json(message));
  boost::json::object out{{"messages", std::move(messages)}};
  if (sample.tools.empty()) return out;
  boost::json::array tools;
  for (const ToolDeclaration& tool : sample.tools) tools.push_back(tool_json(tool));
  out["tools"] = std::move(tools);
  return out;
}

Result<Document> tokenize(const Sample& sample, const text::Tokenizer& tokenizer) {
  TRY_ASSIGN(const auto prompt, tokenizer.encode(render_prompt(sample)));
  TRY_ASSIGN(const auto completion, tokenizer.encode(render_completion(sample)));
  Document out;
  out.ids.assign(prompt.begin(), prompt.end());
  out.ids.insert(out.ids.end(), completion.begin(), completion.end());
  out.mask.assign(prompt.size(), 0);
  out.mask.resize(out.ids.size(), 1);
  return out;
}

}  // namespace cove::trainer
