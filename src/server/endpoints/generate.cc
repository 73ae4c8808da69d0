// POST /v1/chat/completions and /v1/completions: parse and prepare on the work queue, generate on the I/O thread.
#include <atomic>
#include <ctime>

#include <fmt/format.h>

#include "server/endpoints/endpoints.h"
#include "server/generation/chat_answer.h"
#include "server/generation/completion_answer.h"
#include "server/generation/generation.h"
#include "server/generation/prepare.h"
#include "services/auth/random_token.h"

namespace cove::server {
namespace {

// A request that is ready for the engine.
struct Plan {
  std::vector<engine::Request> requests;
  std::unique_ptr<Answer> answer;
  Delivery delivery = Delivery::kWhole;
};

using MakePlan = ApiResult<Plan> (*)(const ServedModel& model, std::string_view body);

AnswerIdentity new_identity(const ServedModel& model, std::string_view prefix) {
  return {.id = std::string(prefix) + auth::random_token(18),
          .created_s = std::time(nullptr),
          .model = model.name,
          .fingerprint = model.fingerprint};
}

ApiResult<Plan> plan_chat(const ServedModel& model, std::string_view body) {
  auto request = parse_chat_request(body);
  if (!request) return tl::make_unexpected(request.error());
  auto prepared = prepare_chat(model, *request, std::time(nullptr));
  if (!prepared) return tl::make_unexpected(prepared.error());
  Plan plan;
  plan.delivery = request->fields.stream ? Delivery::kStream : Delivery::kWhole;
  plan.requests = std::move(prepared->requests);
  plan.answer =
      make_chat_answer(model, {.identity = new_identity(model, "chatcmpl-"),
                               .delivery = plan.delivery,
                               .choices = plan.requests.size(),
                               .start = prepared->reasoning_start,
                               .reasoning = request->reasoning,
                               .include_usage = request->fields.include_usage,
                               .logprobs = request->logprobs,
                               .tools = !request->tools.empty() && request->tool_choice != ToolChoice::kNone});
  return plan;
}

ApiResult<Plan> plan_completion(const ServedModel& model, std::string_view body) {
  auto request = parse_completion_request(body);
  if (!request) return tl::make_unexpected(request.error());
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
                                               .logprobs = request->logprobs >= 0});
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
                     .headers = {{"x-request-id", context.id}},
                     .arrived = context.arrived,
                     .on_end = [&gateway, kept = exchange->request().context](const GenerationReport& report) {
                       gateway.metrics().generation_ended(report);
                       auto& noted = *static_cast<RequestContext*>(kept.get());
                       noted.usage = report.usage;
                       noted.finish_reason = report.finish_reason;
                     }});
}

void generate(Gateway& gateway, const ExchangePtr& exchange, MakePlan make_plan) {
  const auto model = gateway.model();
  const auto abandoned = std::make_shared<std::atomic<bool>>(false);
  exchange->on_abort([abandoned] { *abandoned = true; });
  const auto body = std::make_shared<std::string>(std::move(exchange->request().body));
  const bool taken = gateway.work().try_push([&gateway, exchange, model, abandoned, body, make_plan] {
    if (*abandoned) return;
    const auto plan = std::make_shared<ApiResult<Plan>>(make_plan(*model, *body));
    exchange->post([&gateway, exchange, model, plan] {
      if (exchange->closed()) return;
      if (!*plan) return respond(exchange, plan->error());
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
