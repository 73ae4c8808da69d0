// GET /livez (the process answers), /readyz (it can take work), /health (what it is doing), /metrics.
#include "base/json_text.h"
#include "server/endpoints/endpoints.h"

namespace cove::server {
namespace {

std::string_view health_name(engine::Health health) {
  switch (health) {
    case engine::Health::kLoading: return "loading";
    case engine::Health::kReady: return "ok";
    case engine::Health::kDraining: return "draining";
    case engine::Health::kStuck: return "stuck";
    case engine::Health::kFailed: return "failed";
  }
  return "failed";
}

http::Response text_response(int status, std::string_view text) {
  return {.status = status,
          .content_type = "text/plain; charset=utf-8",
          .headers = {{"Cache-Control", "no-store"}},
          .body = std::string(text) + "\n"};
}

void add_retry(http::Response& response) {
  if (response.status == 503) response.headers.push_back({"Retry-After", "5"});
}

}  // namespace

void livez(Gateway&, const ExchangePtr& exchange) { respond(exchange, text_response(200, "ok")); }

void readyz(Gateway& gateway, const ExchangePtr& exchange) {
  const engine::Health health = gateway.health();
  const bool ready = health == engine::Health::kReady;
  if (ready && gateway.audit_blocks()) {
    http::Response refused = text_response(503, "audit_failed: the audit log cannot be written");
    add_retry(refused);
    return respond(exchange, std::move(refused));
  }
  http::Response response = text_response(ready ? 200 : 503, health_name(health));
  add_retry(response);
  respond(exchange, std::move(response));
}

void health(Gateway& gateway, const ExchangePtr& exchange) {
  const engine::Health health = gateway.health();
  const auto model = gateway.model();
  http::Response response;
  const bool unaudited = health == engine::Health::kReady && gateway.audit_blocks();
  response.status = health == engine::Health::kReady && !unaudited ? 200 : 503;
  response.headers.push_back({"Cache-Control", "no-store"});
  add_retry(response);
  std::string& out = response.body;
  out = R"({"status":")" + std::string(unaudited ? "audit_failed" : health_name(health)) + R"(","version":)";
  append_json_string(out, COVE_VERSION);
  out += R"(,"model":)";
  if (model == nullptr) {
    out += R"(null,"device":null,"queue":{"running":0,"waiting":0}})";
  } else {
    const engine::Stats stats = model->engine->stats();
    append_json_string(out, model->name);
    out += R"(,"device":)";
    append_json_string(out, model->engine->model().device);
    out += R"(,"queue":{"running":)";
    append_json_number(out, stats.requests_running);
    out += R"(,"waiting":)";
    append_json_number(out, stats.requests_waiting);
    out += "}}";
  }
  respond(exchange, std::move(response));
}

void metrics(Gateway& gateway, const ExchangePtr& exchange) {
  const auto model = gateway.model();
  const GatewayServices& services = gateway.services();
  if (services.audit != nullptr) gateway.metrics().read_audit(*services.audit);
  if (services.watch != nullptr) gateway.metrics().read_alerts(*services.watch, services.webhook);
  respond(exchange, {.content_type = "text/plain; version=0.0.4; charset=utf-8",
                     .headers = {},
                     .body = gateway.metrics().render(model.get(), gateway.connections(), gateway.options().aliases)});
}

}  // namespace cove::server
