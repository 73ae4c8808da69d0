#include "text/grammar/json_schema.h"

#include <vector>

#include <fmt/format.h>
#include <boost/json/serialize.hpp>

#include "base/check.h"
#include "text/grammar/automaton.h"
#include "text/grammar/regex.h"
#include "text/grammar/schema_compiler.h"

namespace cove::text::grammar {
namespace {

// Wraps the content as the start rule and checks it.
Result<GrammarPtr> finish(Grammar grammar, Fragment content, TextStart start) {
  Network& network = grammar.network;
  grammar.start = network.add_rule();
  if (start == TextStart::kAfterReasoning)
    content = network.sequence({network.optional(network.literal("\n\n")), content});
  network.define(grammar.start, content);
  TRY(check_grammar(grammar));
  return std::make_shared<const Grammar>(std::move(grammar));
}

// {"name": NAME, "arguments": ARGUMENTS} between Hermes' tags.
Fragment hermes_call(Network& network, const JsonRules& rules, const std::string& name, Fragment arguments) {
  const std::string quoted = json::serialize(json::string(name));
  return network.sequence({network.literal("<tool_call>\n{\"name\":"), network.call(rules.space),
                           network.literal(quoted + ","), network.call(rules.space), network.literal("\"arguments\":"),
                           network.call(rules.space), arguments, network.literal("}\n</tool_call>")});
}

Fragment deepseek_call(Network& network, const std::string& name, Fragment arguments, DeepSeekCalls calls) {
  constexpr std::string_view kBegin = "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>";
  constexpr std::string_view kEnd = "<｜tool▁call▁end｜><｜tool▁calls▁end｜>";
  const bool fenced = calls == DeepSeekCalls::kFenced;
  const std::string before = fenced ? fmt::format("{}function<｜tool▁sep｜>{}\n```json\n", kBegin, name)
                                    : fmt::format("{}{}<｜tool▁sep｜>", kBegin, name);
  const std::string after = fmt::format("{}{}", fenced ? "\n```" : "", kEnd);
  return network.sequence({network.literal(before), arguments, network.literal(after)});
}

}  // namespace

Result<GrammarPtr> grammar_of_schema(const json::value& schema, TextStart start) {
  Grammar grammar;
  const JsonRules rules = add_json_rules(grammar.network);
  TRY_ASSIGN(const Fragment content, SchemaCompiler(grammar.network, rules, schema).compile());
  return finish(std::move(grammar), content, start);
}

GrammarPtr grammar_of_json_object(TextStart start) {
  Grammar grammar;
  const JsonRules rules = add_json_rules(grammar.network);
  const Fragment object = grammar.network.call(rules.object);
  auto made = finish(std::move(grammar), object, start);
  COVE_CHECK(made.has_value());
  return *made;
}

Result<GrammarPtr> grammar_of_regex(std::string_view pattern, TextStart start) {
  Grammar grammar;
  TRY_ASSIGN(const Fragment content, compile_regex(grammar.network, pattern, TextForm::kPlain, Anchoring::kWhole));
  return finish(std::move(grammar), content, start);
}

Result<GrammarPtr> grammar_of_choice(std::span<const std::string> texts, TextStart start) {
  if (texts.empty()) return invalid_argument("there is nothing to choose from");
  Grammar grammar;
  std::vector<Fragment> parts;
  for (const std::string& text : texts) {
    if (text.empty()) return invalid_argument("a choice is empty");
    parts.push_back(grammar.network.literal(text));
  }
  const Fragment content = grammar.network.choice(parts);
  return finish(std::move(grammar), content, start);
}

Result<GrammarPtr> grammar_of_tool_call(std::span<const CallableTool> tools, ToolCallFormat format, DeepSeekCalls calls,
                                        TextStart start) {
  Grammar grammar;
  const JsonRules rules = add_json_rules(grammar.network);
  std::vector<Fragment> parts;
  for (const CallableTool& tool : tools) {
    Fragment arguments = tool.parameters == nullptr ? grammar.network.call(rules.object) : Fragment{};
    if (tool.parameters != nullptr) {
      auto compiled = SchemaCompiler(grammar.network, rules, *tool.parameters).compile();
      if (!compiled) return with_context(compiled.error(), fmt::format("the parameters of '{}'", tool.name));
      arguments = *compiled;
    }
    parts.push_back(format == ToolCallFormat::kDeepSeek ? deepseek_call(grammar.network, tool.name, arguments, calls)
                                                        : hermes_call(grammar.network, rules, tool.name, arguments));
  }
  if (parts.empty()) return invalid_argument("there is no tool to call");
  const Fragment content = grammar.network.choice(parts);
  return finish(std::move(grammar), content, start);
}

}  // namespace cove::text::grammar
