// POST /v1/chat/completions and /v1/completions: parse and prepare on the work queue, generate on the I/O thread.
#include <atomic>
#include <ctime>

#include <fmt/format.h>

#include "server/endpoints/endpoints.h"
#include "server/generation/chat_answer.h"
#include "server/generation/completion_answer.h"
#include "server/generation/generation.h"
#include "server/generation/prepare.h"
#include "server/generation/prompt_filter.h"
#include "services/auth/random_token.h"

namespace cove::server {
namespace {

// A request that is ready for the engine.
struct Plan {
  std::vector<engine::Request> requests;
  std::unique_ptr<Answer> answer;
  Delivery delivery = Delivery::kWhole;
  plugins::Pace answer_pace = plugins::Pace::kQuick;
};

using PluginRunPtr = std::shared_ptr<plugins::PluginRun>;  // null = no plugin applies; the answer goes on with it
using MakePlan = ApiResult<Plan> (*)(const ServedModel& model, std::string_view body, const PluginRunPtr& plugins);

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

ApiResult<Plan> plan_chat(const ServedModel& model, std::string_view body, const PluginRunPtr& plugins) {
  auto request = parse_chat_request(body);
  if (!request) return tl::make_unexpected(request.error());
  if (plugins != nullptr) {
    if (plugins->filters_output() && request->logprobs) return tl::make_unexpected(refuse_logprobs());
    if (auto refused = filter_prompt(*plugins, *request)) return tl::make_unexpected(std::move(*refused));
  }
  auto prepared = prepare_chat(model, *request, std::time(nullptr));
  if (!prepared) return tl::make_unexpected(prepared.error());
  Plan plan;
  plan.delivery = request->fields.stream ? Delivery::kStream : Delivery::kWhole;
  plan.requests = std::move(prepared->requests);
  plan.answer = make_chat_answer(model, {.identity = new_identity(model, "chatcmpl-"),
                                         .delivery = plan.delivery,
                                         .choices = plan.requests.size(),
                                         .start = prepared->reasoning_start,
                                         .reasoning = request->reasoning,
                                         .include_usage = request->fields.include_usage,
                                         .logprobs = request->logprobs,
                                         .tools = !request->tools.empty() && request->tool_choice != ToolChoice::kNone,
                                         .plugins = plugins});
  plan.answer_pace = answer_pace(plugins);
  return plan;
}

ApiResult<Plan> plan_completion(const ServedModel& model, std::string_view body, const PluginRunPtr& plugins) {
  auto request = parse_completion_request(body);
  if (!request) return tl::make_unexpected(request.error());
  if (plugins != nullptr) {
    if (plugins->filters_output() && request->logprobs >= 0) return tl::make_unexpected(refuse_logprobs());
    if (auto refused = filter_prompt(*plugins, model, *request)) return tl::make_unexpected(std::move(*refused));
  }
  auto prepared = prepare_completion(model, *request);
  if (!prepared) return tl::make_unexpected(prepared.error());
  Plan plan;
  plan.delivery = request->fields.stream ? Delivery::kStream : Delivery::kWhole;
  plan.requests = std::move(prepared->requests);
  plan.answer = make_completion_answer(model, {.identity = new_identity(model, "cmpl-"),
                                               .delivery = plan.delivery,
                                               .choices = plan.requests.size(),
                                               .choices_per_prompt = static_cast<size_t>(request->fields.choices),
                                               .include_usage = request->fields.include_usage,
                                               .logprobs = request->logprobs >= 0,
                                               .plugins = plugins});
  plan.answer_pace = answer_pace(plugins);
  return plan;
}

void start_generation(Gateway& gateway, const ExchangePtr& exchange, const ServedModel& model, Plan plan) {
  RequestContext& context = context_of(exchange->request());
  for (engine::Request& request : plan.requests) {
    request.id = context.id;
    request.tenant = context.identity.id;
  }
  Generation::start({.exchange = exchange,
                     .engine = model.engine,
                     .requests = std::move(plan.requests),
                     .answer = std::move(plan.answer),
                     .delivery = plan.delivery,
                     .headers = context.headers,
                     .arrived = context.arrived,
                     .on_end =
                         [&gateway, kept = exchange->request().context](const GenerationReport& report) {
                           auto& noted = *static_cast<RequestContext*>(kept.get());
                           gateway.generation_ended(noted, report);
                           gateway.metrics().plugins_acted(report.plugin_notes);
                           noted.plugin_notes = report.plugin_notes;
                         },
                     .answer_work = plan.answer_pace == plugins::Pace::kMayWait ? gateway.plugin_work() : nullptr});
}

// The plugins for this request; null when none applies.
PluginRunPtr open_plugins(Gateway& gateway, const RequestContext& context, const ServedModel& model) {
  if (gateway.services().plugins == nullptr) return nullptr;
  return gateway.services().plugins->open({.request_id = context.id,
                                           .route = std::string(context.route->path),
                                           .model = model.name,
                                           .identity = context.identity.id,
                                           .role = std::string(auth::to_string(context.identity.role))});
}

void refuse(Gateway& gateway, const ExchangePtr& exchange, const ApiError& error, const PluginRunPtr& plugins) {
  if (plugins != nullptr) {
    gateway.metrics().plugins_acted(plugins->notes());
    context_of(exchange->request()).plugin_notes = plugins->notes();
  }
  respond(exchange, error);
}

void generate(Gateway& gateway, const ExchangePtr& exchange, MakePlan make_plan) {
  const auto model = gateway.model();
  const auto abandoned = std::make_shared<std::atomic<bool>>(false);
  exchange->on_abort([abandoned] { *abandoned = true; });
  const auto body = std::make_shared<std::string>(std::move(exchange->request().body));
  const PluginRunPtr plugins = open_plugins(gateway, context_of(exchange->request()), *model);
  const bool may_wait = plugins != nullptr && plugins->pace() == Pace::kMayWait;
  WorkQueue& work = may_wait ? *gateway.plugin_work() : gateway.work();
  const bool taken = work.try_push([&gateway, exchange, model, abandoned, body, make_plan, plugins] {
    if (*abandoned) return;
    const auto plan = std::make_shared<ApiResult<Plan>>(make_plan(*model, *body, plugins));
    exchange->post([&gateway, exchange, model, plan, plugins] {
      if (exchange->closed()) return;
      if (!*plan) return refuse(gateway, exchange, plan->error(), plugins);
      start_generation(gateway, exchange, *model, std::move(**plan));
    });
  });
  if (!taken)
    respond(exchange, {ApiErrorKind::kQueueFull, "too many requests are being read; try again in a moment", {}});
}

}  // namespace

void chat_completions(Gateway& gateway, const ExchangePtr& exchange) { generate(gateway, exchange, plan_chat); }
void completions(Gateway& gateway, const ExchangePtr& exchange) { generate(gateway, exchange, plan_completion); }

}  // namespace cove::server
