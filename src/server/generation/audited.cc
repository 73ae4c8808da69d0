#include "server/generation/audited.h"

#include <utility>

#include <boost/json.hpp>

#include "base/json_text.h"
#include "server/generation/prompt_filter.h"

namespace cove::server {
namespace {

constexpr std::string_view kBetweenPrompts = "\x1e";  // U+001E, record separator

// What bounds the answer, as JSON; empty when nothing does.
std::string constraint_text(const ConstraintFields& constraint) {
  using Kind = ConstraintFields::Kind;
  switch (constraint.kind) {
    case Kind::kNone: return {};
    case Kind::kJsonObject: return R"({"type":"json_object"})";
    case Kind::kJsonSchema:
      return json::serialize(json::object{{"type", "json_schema"}, {"schema", constraint.schema}});
    case Kind::kRegex: return json::serialize(json::object{{"type", "regex"}, {"regex", constraint.regex}});
    case Kind::kChoice: break;
  }
  return json::serialize(
      json::object{{"type", "choice"}, {"choices", json::array(constraint.choices.begin(), constraint.choices.end())}});
}

std::string tool_choice_text(const ChatRequest& request) {
  if (request.tools.empty()) return {};
  if (!request.forced_tool.empty()) return "function:" + request.forced_tool;
  switch (request.tool_choice) {
    case ToolChoice::kAuto: return "auto";
    case ToolChoice::kNone: return "none";
    case ToolChoice::kRequired: break;
  }
  return "required";
}

void note_model(const ServedModel& model, audit::Model& out) {
  const engine::ModelInfo& info = model.engine->model();
  out.name = model.name;
  out.digest = info.digest;
  out.device = info.device;
  out.weights = model.weights_digest;
}

// 0 stands for the context's end, which a later run may have elsewhere.
int32_t tokens_max_of(const ServedModel& model, const engine::Request& request) {
  if (request.tokens_max > 0) return request.tokens_max;
  return static_cast<int32_t>(model.engine->model().context_max - static_cast<int64_t>(request.prompt.size()));
}

void note_common(const PlanInput& input, const GenerationFields& fields, const Prepared& prepared,
                 std::string_view body) {
  audit::Generation& audited = *input.audited;
  const engine::Request& first = prepared.requests.front();
  note_model(input.model, audited.model);
  audited.stream = fields.stream;
  audited.prompt_tokens = static_cast<int64_t>(first.prompt.size());
  audit::Parameters& parameters = audited.parameters;
  parameters.sampling = first.sampling;
  for (const engine::Request& request : prepared.requests) parameters.seeds.push_back(request.sampling.seed);
  parameters.choices = fields.choices;
  parameters.tokens_max = tokens_max_of(input.model, first);
  parameters.tokens_min = first.tokens_min;
  parameters.stop = first.stop;
  parameters.stop_tokens = first.stop_tokens;
  parameters.ignore_eos = first.ignore_eos;
  if (first.thinking) parameters.thinking_budget = first.thinking->tokens;
  if (input.keep == KeepShown::kYes) audited.request = body;
}

}  // namespace

void note_plan(const PlanInput& input, const ChatRequest& request, const Prepared& prepared, std::string_view body) {
  note_common(input, request.fields, prepared, body);
  audit::Parameters& parameters = input.audited->parameters;
  parameters.constraint = constraint_text(request.constraint);
  for (const json::value& tool : request.tools)
    parameters.tools.emplace_back(tool.as_object().at("function").as_object().at("name").as_string());
  parameters.tool_choice = tool_choice_text(request);
  if (input.keep == KeepShown::kYes) input.audited->prompt = prepared.rendered;
}

void note_plan(const PlanInput& input, const CompletionRequest& request, const Prepared& prepared,
               std::string_view body) {
  note_common(input, request.fields, prepared, body);
  input.audited->parameters.constraint = constraint_text(request.constraint);
  if (input.keep == KeepShown::kNo) return;
  std::string& prompt = input.audited->prompt;
  for (size_t i = 0; i < request.prompts.size(); ++i) {
    if (i > 0) prompt += kBetweenPrompts;
    const auto* ids = std::get_if<std::vector<int32_t>>(&request.prompts[i]);
    prompt += ids == nullptr ? std::get<std::string>(request.prompts[i]) : text_of_tokens(*input.model.tokenizer, *ids);
  }
}

std::string filtered_body(std::string_view body, const ChatRequest& request) {
  auto object = parse_body(body);
  if (!object) return std::string(body);
  (*object)["messages"] = request.messages;
  if (!request.tools.empty()) (*object)["tools"] = request.tools;
  return json::serialize(*object);
}

std::string filtered_body(std::string_view body, const CompletionRequest& request) {
  auto object = parse_body(body);
  if (!object) return std::string(body);
  json::array prompts;
  for (const Prompt& prompt : request.prompts) {
    if (const auto* ids = std::get_if<std::vector<int32_t>>(&prompt)) {
      prompts.emplace_back(json::array(ids->begin(), ids->end()));
    } else {
      prompts.emplace_back(std::get<std::string>(prompt));
    }
  }
  (*object)["prompt"] = std::move(prompts);
  return json::serialize(*object);
}

std::string tool_calls_text(const std::vector<text::ToolCall>& calls) {
  std::string out;
  for (const text::ToolCall& call : calls) {
    out += out.empty() ? R"([{"name":)" : R"(,{"name":)";
    append_json_string(out, call.name);
    out += R"(,"arguments":)";
    append_json_string(out, call.arguments);
    out += "}";
  }
  return out.empty() ? out : out + "]";
}

void note_end(GenerationReport report, KeepShown keep, audit::Generation& audited) {
  audited.prompt_tokens = report.usage.prompt_tokens;
  audited.cached_tokens = report.usage.cached_tokens;
  audited.completion_tokens = report.usage.completion_tokens;
  audited.reasoning_tokens = report.usage.reasoning_tokens;
  if (report.first_token_s >= 0) audited.first_token_ms = report.first_token_s * 1e3;
  const std::string_view otherwise = report.end == GenerationReport::End::kAborted ? "cancelled" : "error";
  report.shown.resize(audited.parameters.seeds.size());
  for (ShownText& shown : report.shown) {
    audited.finish_reasons.push_back(shown.finish_reason.empty() ? std::string(otherwise)
                                                                 : std::move(shown.finish_reason));
    if (keep == KeepShown::kNo) continue;
    audited.answers.push_back({.reasoning = std::move(shown.reasoning),
                               .content = std::move(shown.content),
                               .tool_calls = tool_calls_text(shown.calls)});
  }
}

}  // namespace cove::server
