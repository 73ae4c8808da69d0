#include "server/generation/constraint.h"

#include <utility>

#include <fmt/format.h>
#include <boost/json.hpp>

#include "text/grammar/json_schema.h"
#include "text/grammar/token_masks.h"

namespace cove::server {
namespace {

namespace grammar = text::grammar;
using Kind = ConstraintFields::Kind;
using Outcome = ApiResult<std::optional<engine::ConstraintStart>>;

class GrammarConstraint final : public engine::TokenConstraint {
 public:
  GrammarConstraint(grammar::GrammarPtr rules, std::shared_ptr<const grammar::SortedVocabulary> vocabulary)
      : matcher_(std::move(rules), std::move(vocabulary)) {}
  std::span<const uint32_t> allowed() override { return matcher_.allowed(); }
  bool complete() const override { return matcher_.complete(); }
  void accept(int32_t token) override { matcher_.accept(token); }

 private:
  grammar::GrammarMatcher matcher_;
};

Outcome refuse(ApiErrorKind kind, std::string param, std::string message) {
  return tl::make_unexpected(ApiError{kind, std::move(message), std::move(param)});
}

Outcome start_of(const ServedModel& model, Result<grammar::GrammarPtr> made, const std::string& param,
                 std::optional<int32_t> after) {
  if (!made) return refuse(ApiErrorKind::kInvalidValue, param, fmt::format("'{}': {}", param, made.error().message));
  engine::ConstraintStart start;
  start.make = [rules = *made, vocabulary = model.vocabulary]() -> std::unique_ptr<engine::TokenConstraint> {
    return std::make_unique<GrammarConstraint>(rules, vocabulary);
  };
  start.after_token = after.value_or(-1);
  return std::optional(std::move(start));
}

Result<grammar::GrammarPtr> grammar_of(const ConstraintFields& fields, grammar::TextStart start) {
  switch (fields.kind) {
    case Kind::kJsonSchema: return grammar::grammar_of_schema(fields.schema, start);
    case Kind::kRegex: return grammar::grammar_of_regex(fields.regex, start);
    case Kind::kChoice: return grammar::grammar_of_choice(fields.choices, start);
    case Kind::kJsonObject:
    case Kind::kNone: break;
  }
  return grammar::grammar_of_json_object(start);
}

Result<grammar::GrammarPtr> tool_grammar(const ServedModel& model, const ChatRequest& request,
                                         grammar::TextStart start) {
  std::vector<grammar::CallableTool> tools;
  for (const json::value& tool : request.tools) {
    const json::object& function = tool.as_object().at("function").as_object();
    const std::string_view name = function.at("name").as_string();
    if (!request.forced_tool.empty() && name != request.forced_tool) continue;
    const json::value* parameters = function.if_contains("parameters");
    if (parameters != nullptr && !parameters->is_object()) parameters = nullptr;
    tools.push_back({.name = std::string(name), .parameters = parameters});
  }
  return grammar::grammar_of_tool_call(tools, model.tool_calls, model.deepseek_calls, start);
}

}  // namespace

ApiResult<std::optional<engine::ConstraintStart>> chat_constraint(const ServedModel& model, const ChatRequest& request,
                                                                  text::ReasoningStart start) {
  const bool forced = request.tool_choice == ToolChoice::kRequired;
  if (!forced && request.constraint.kind == Kind::kNone) return std::optional<engine::ConstraintStart>();
  const std::string param = forced ? "tool_choice" : request.constraint.param;
  const bool thinks = start == text::ReasoningStart::kInside;
  if (thinks && !model.think_close_token) {
    return refuse(
        ApiErrorKind::kUnsupportedParameter, param,
        fmt::format("'{}': this model's </think> is no single token, so the answer cannot be constrained", param));
  }
  if (forced && model.tool_calls == text::ToolCallFormat::kNone) {
    return refuse(ApiErrorKind::kUnsupportedParameter, param,
                  "'tool_choice': this model's template has no tool calls; use auto or none");
  }
  const auto begins = thinks ? grammar::TextStart::kAfterReasoning : grammar::TextStart::kAtOnce;
  auto made = forced ? tool_grammar(model, request, begins) : grammar_of(request.constraint, begins);
  return start_of(model, std::move(made), param, thinks ? model.think_close_token : std::nullopt);
}

ApiResult<std::optional<engine::ConstraintStart>> completion_constraint(const ServedModel& model,
                                                                        const ConstraintFields& fields) {
  if (fields.kind == Kind::kNone) return std::optional<engine::ConstraintStart>();
  return start_of(model, grammar_of(fields, grammar::TextStart::kAtOnce), fields.param, std::nullopt);
}

}  // namespace cove::server
