// POST /v1/chat/completions and /v1/completions: parse and prepare on the work queue, generate on the I/O thread.
#include <atomic>

#include "server/endpoints/endpoints.h"
#include "server/generation/generation.h"
#include "server/generation/plan.h"

namespace cove::server {
namespace {

using plugins::Pace;

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
                     .choices_per_prompt = plan.choices_per_prompt,
                     .delivery = plan.delivery,
                     .headers = context.headers,
                     .arrived = context.arrived,
                     .on_end =
                         [&gateway, kept = exchange->request().context](GenerationReport report) {
                           gateway.generation_ended(*static_cast<RequestContext*>(kept.get()), std::move(report));
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

// What the work queue makes of a request.
struct Planned {
  ApiResult<Plan> plan;
  std::optional<audit::Generation> audited;
};

struct PlanWork {
  MakePlan make_plan;
  std::shared_ptr<const ServedModel> model;
  std::string body;
  PluginRunPtr plugins;
  int64_t now_s = 0;
  KeepShown keep = KeepShown::kNo;
  bool audited = false;
};

Planned make_planned(const PlanWork& work) {
  audit::Generation audited;
  auto plan = work.make_plan({.model = *work.model,
                              .body = work.body,
                              .plugins = work.plugins,
                              .now_s = work.now_s,
                              .keep = work.keep,
                              .audited = work.audited ? &audited : nullptr});
  Planned planned{.plan = std::move(plan), .audited = std::nullopt};
  if (!audited.model.name.empty()) planned.audited = std::move(audited);
  return planned;
}

void go_on(Gateway& gateway, const ExchangePtr& exchange, const PlanWork& work, Planned planned) {
  AuditNotes& notes = context_of(exchange->request()).audit;
  notes.generation = std::move(planned.audited);
  notes.keep = work.keep;
  if (work.plugins != nullptr) notes.prompt_changes = changes_of(work.plugins->notes());
  if (!planned.plan) return refuse(gateway, exchange, planned.plan.error(), work.plugins);
  start_generation(gateway, exchange, *work.model, std::move(*planned.plan));
}

void generate(Gateway& gateway, const ExchangePtr& exchange, MakePlan make_plan) {
  const auto model = gateway.model();
  const RequestContext& context = context_of(exchange->request());
  const auto abandoned = std::make_shared<std::atomic<bool>>(false);
  exchange->on_abort([abandoned] { *abandoned = true; });
  const auto work = std::make_shared<const PlanWork>(PlanWork{.make_plan = make_plan,
                                                              .model = model,
                                                              .body = std::move(exchange->request().body),
                                                              .plugins = open_plugins(gateway, context, *model),
                                                              .now_s = context.audit.arrived_ns / 1'000'000'000,
                                                              .keep = keep_texts(gateway, context.identity),
                                                              .audited = gateway.services().audit != nullptr});
  const bool may_wait = work->plugins != nullptr && work->plugins->pace() == Pace::kMayWait;
  WorkQueue& queue = may_wait ? *gateway.plugin_work() : gateway.work();
  const bool taken = queue.try_push([&gateway, exchange, work, abandoned] {
    if (*abandoned) return;
    const auto planned = std::make_shared<Planned>(make_planned(*work));
    exchange->post([&gateway, exchange, work, planned] {
      if (!exchange->closed()) go_on(gateway, exchange, *work, std::move(*planned));
    });
  });
  if (!taken)
    respond(exchange, {ApiErrorKind::kQueueFull, "too many requests are being read; try again in a moment", {}});
}

}  // namespace

void chat_completions(Gateway& gateway, const ExchangePtr& exchange) { generate(gateway, exchange, plan_chat); }
void completions(Gateway& gateway, const ExchangePtr& exchange) { generate(gateway, exchange, plan_completion); }

}  // namespace cove::server
