// cove parse: a model's raw output to reasoning, answer and tool calls, as the server splits it.
#include <optional>
#include <string>

#include <fmt/format.h>
#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>

#include "commands.h"
#include "json_lines.h"
#include "text/chat/output_parser.h"

namespace cove::app {
namespace {

constexpr const char* kName = "parse";

std::optional<text::ToolCallFormat> format_of(std::string_view name) {
  if (name == "deepseek-r1" || name == "deepseek-v3" || name == "deepseek-v3.1") return text::ToolCallFormat::kDeepSeek;
  if (name == "qwen" || name == "hermes") return text::ToolCallFormat::kHermes;
  if (name == "auto") return text::ToolCallFormat::kAny;
  return std::nullopt;
}

// Without a prompt the output is taken for what follows R1's own template, which opens <think>.
Result<text::ReasoningStart> start_of(const json::object& input) {
  const json::value* prompt = input.if_contains("prompt");
  if (prompt == nullptr || prompt->is_null()) return text::ReasoningStart::kInside;
  if (!prompt->is_string()) return invalid_argument("\"prompt\" must be a string");
  return text::reasoning_start(prompt->get_string());
}

json::object tool_call(const text::ToolCall& call) {
  return {{"id", fmt::format("call_{}", call.index)},
          {"type", "function"},
          {"function", {{"name", call.name}, {"arguments", call.arguments}}}};
}

json::value text_or_null(const std::string& text) { return text.empty() ? json::value() : json::value(text); }

Result<json::object> parse(const json::object& input, text::ToolCallFormat format) {
  const json::value* output = input.if_contains("output");
  if (output == nullptr || !output->is_string()) return invalid_argument("\"output\" is missing or not a string");
  TRY_ASSIGN(const text::ReasoningStart start, start_of(input));
  text::OutputParser parser(start, format);
  std::string reasoning;
  std::string content;
  json::array calls;
  const auto take = [&](const std::vector<text::OutputDelta>& deltas) {
    for (const text::OutputDelta& delta : deltas) {
      reasoning += delta.reasoning;
      content += delta.content;
      for (const text::ToolCall& call : delta.calls) calls.push_back(tool_call(call));
    }
  };
  take(parser.push(output->get_string()));
  take(parser.finish());
  return json::object{
      {"reasoning_content", text_or_null(reasoning)}, {"content", text_or_null(content)}, {"tool_calls", calls}};
}

int run(int argc, const char* const* argv) {
  std::string format_name = "deepseek-r1";
  bool jsonl = false;
  Flags flags(kName,
              "A model's raw output on standard input to {\"reasoning_content\", \"content\", \"tool_calls\"}. The "
              "input is JSON: "
              "{\"prompt\", \"output\"}; the prompt's end tells whether reasoning has been opened already.");
  flags.add("--format", format_name, "deepseek-r1, deepseek-v3, deepseek-v3.1, qwen, hermes or auto");
  flags.add_switch("--jsonl", jsonl, "one input a line to one result a line; a bad one gives {\"error\"}");
  flags.footer("Example:\n  echo '{\"prompt\":\"<think>\\n\",\"output\":\"Easy.</think>\\n\\n4\"}' | cove parse");
  if (const auto code = flags.parse(argc, argv)) return *code;
  const std::optional<text::ToolCallFormat> format = format_of(format_name);
  if (!format) {
    fail(kName, fmt::format("there is no format '{}'; see cove parse --help", format_name));
    return kWrongUsage;
  }
  const auto convert = [&](const json::object& input) { return parse(input, *format); };
  if (jsonl) return convert_lines(kName, convert);
  const Result<json::object> result = convert_document(convert);
  if (!result) return fail(kName, result.error().message);
  fmt::print("{}\n", json::serialize(*result));
  return finish_output(kName, kDone);
}

}  // namespace

extern const Command kParse;
const Command kParse{kName, "a model's output to reasoning, answer and tool calls", run};

}  // namespace cove::app
