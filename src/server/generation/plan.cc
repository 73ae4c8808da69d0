#include "server/generation/plan.h"

#include <ctime>
#include <utility>

#include <boost/json.hpp>

#include "server/generation/audited.h"
#include "server/generation/chat_answer.h"
#include "server/generation/completion_answer.h"
#include "server/generation/prepare.h"
#include "server/generation/prompt_filter.h"
#include "services/auth/random_token.h"

namespace cove::server {
namespace {

using plugins::Pace;

Pace answer_pace(const PluginRunPtr& plugins) {
  return plugins != nullptr && plugins->filters_output() ? plugins->pace() : Pace::kQuick;
}

AnswerIdentity new_identity(const ServedModel& model, std::string_view prefix) {
  return {.id = std::string(prefix) + auth::random_token(18),
          .created_s = std::time(nullptr),
          .model = model.name,
          .fingerprint = model.fingerprint};
}

void use_resolved(const audit::Parameters& resolved, GenerationFields& fields) {
  fields.model.clear();  // it may have had another name then; its digest was compared
  const engine::SamplingOptions& sampling = resolved.sampling;
  fields.sampling.temperature = sampling.temperature;
  fields.sampling.top_p = sampling.top_p;
  fields.sampling.top_k = sampling.top_k;
  fields.sampling.min_p = sampling.min_p;
  fields.sampling.presence_penalty = sampling.presence_penalty;
  fields.sampling.frequency_penalty = sampling.frequency_penalty;
  fields.sampling.repetition_penalty = sampling.repetition_penalty;
  fields.sampling.seed = sampling.seed;
  fields.tokens_max = resolved.tokens_max;
}

// A plugin refused the prompt; the log shall show which one. Errors of the unfiltered prompt do not matter then.
template <class Request, class Prepare>
void note_refused(const PlanInput& input, const Request& request, Prepare prepare) {
  if (input.audited == nullptr) return;
  if (const auto prepared = prepare(request)) note_plan(input, request, *prepared, input.body);
}

template <class Request>
void note_accepted(const PlanInput& input, const Request& request, const Prepared& prepared) {
  if (input.audited == nullptr) return;
  const bool filtered = input.plugins != nullptr && input.plugins->acts_at(plugins::Stage::kPrompt);
  if (!filtered || input.keep == KeepShown::kNo) return note_plan(input, request, prepared, input.body);
  note_plan(input, request, prepared, filtered_body(input.body, request));
}

}  // namespace

ApiResult<Plan> plan_chat(const PlanInput& input) {
  const ServedModel& model = input.model;
  const PluginRunPtr& plugins = input.plugins;
  auto request = parse_chat_request(input.body);
  if (!request) return tl::make_unexpected(request.error());
  if (input.resolved != nullptr) use_resolved(*input.resolved, request->fields);
  const auto prepare = [&](const ChatRequest& wanted) { return prepare_chat(model, wanted, input.now_s); };
  if (plugins != nullptr) {
    if (plugins->filters_output() && request->logprobs) return tl::make_unexpected(refuse_logprobs());
    if (auto refused = filter_prompt(*plugins, *request)) {
      note_refused(input, *request, prepare);
      return tl::make_unexpected(std::move(*refused));
    }
  }
  auto prepared = prepare(*request);
  if (!prepared) return tl::make_unexpected(prepared.error());
  note_accepted(input, *request, *prepared);
  Plan plan;
  plan.delivery = request->fields.stream ? Delivery::kStream : Delivery::kWhole;
  plan.requests = std::move(prepared->requests);
  plan.choices_per_prompt = plan.requests.size();
  plan.answer = make_chat_answer(model, {.identity = new_identity(model, "chatcmpl-"),
                                         .delivery = plan.delivery,
                                         .choices = plan.requests.size(),
                                         .start = prepared->reasoning_start,
                                         .reasoning = request->reasoning,
                                         .include_usage = request->fields.include_usage,
                                         .logprobs = request->logprobs,
                                         .tools = !request->tools.empty() && request->tool_choice != ToolChoice::kNone,
                                         .plugins = plugins,
                                         .keep = input.keep});
  plan.answer_pace = answer_pace(plugins);
  return plan;
}

ApiResult<Plan> plan_completion(const PlanInput& input) {
  const ServedModel& model = input.model;
  const PluginRunPtr& plugins = input.plugins;
  auto request = parse_completion_request(input.body);
  if (!request) return tl::make_unexpected(request.error());
  if (input.resolved != nullptr) use_resolved(*input.resolved, request->fields);
  const auto prepare = [&](const CompletionRequest& wanted) { return prepare_completion(model, wanted); };
  if (plugins != nullptr) {
    if (plugins->filters_output() && request->logprobs >= 0) return tl::make_unexpected(refuse_logprobs());
    if (auto refused = filter_prompt(*plugins, model, *request)) {
      note_refused(input, *request, prepare);
      return tl::make_unexpected(std::move(*refused));
    }
  }
  auto prepared = prepare(*request);
  if (!prepared) return tl::make_unexpected(prepared.error());
  note_accepted(input, *request, *prepared);
  Plan plan;
  plan.delivery = request->fields.stream ? Delivery::kStream : Delivery::kWhole;
  plan.requests = std::move(prepared->requests);
  plan.choices_per_prompt = static_cast<size_t>(request->fields.choices);
  plan.answer = make_completion_answer(model, {.identity = new_identity(model, "cmpl-"),
                                               .delivery = plan.delivery,
                                               .choices = plan.requests.size(),
                                               .choices_per_prompt = plan.choices_per_prompt,
                                               .include_usage = request->fields.include_usage,
                                               .logprobs = request->logprobs >= 0,
                                               .plugins = plugins,
                                               .keep = input.keep});
  plan.answer_pace = answer_pace(plugins);
  return plan;
}

}  // namespace cove::server
