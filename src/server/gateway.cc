#include "server/gateway.h"

#include <fmt/format.h>

#include "base/check.h"
#include "base/log.h"
#include "server/middleware.h"
#include "services/anomaly/watch.h"

namespace cove::server {

Gateway::Gateway(const GatewayOptions& options, const GatewayServices& services)
    : options_(options),
      services_(services),
      authenticator_({.keys = services.keys,
                      .users = services.users,
                      .tokens = services.tokens,
                      .foreign = services.foreign_tokens}),
      work_(options.work) {
  COVE_CHECK(services.keys != nullptr || options.auth == AuthMode::kOff);
  COVE_CHECK(services.sessions != nullptr);
  const bool may_wait = services.plugins != nullptr && services.plugins->pace() == plugins::Pace::kMayWait;
  if (may_wait) plugin_work_ = std::make_unique<WorkQueue>(options.plugin_work);
}

void Gateway::set_model(std::shared_ptr<const ServedModel> model) {
  const std::lock_guard lock(mutex_);
  model_ = std::move(model);
}

std::shared_ptr<const ServedModel> Gateway::model() const {
  const std::lock_guard lock(mutex_);
  return model_;
}

engine::Health Gateway::health() const {
  if (draining_) return engine::Health::kDraining;
  const auto served = model();
  return served == nullptr ? engine::Health::kLoading : served->engine->health();
}

bool Gateway::audit_blocks() const {
  const audit::Log* log = services_.audit;
  return log != nullptr && log->on_failure() == audit::OnFailure::kRefuse && !log->healthy();
}

RequestContext& context_of(const http::Request& request) {
  COVE_CHECK(request.context != nullptr);
  return *static_cast<RequestContext*>(request.context.get());
}

std::string_view path_parameter(const Route& route, std::string_view path) {
  return path.substr(std::min(route.path.find('{'), path.size()));
}

namespace {

void add_headers(http::Response& response, const http::Request& request) {
  const auto& headers = context_of(request).headers;
  response.headers.insert(response.headers.end(), headers.begin(), headers.end());
}

}  // namespace

void respond(const std::shared_ptr<http::Exchange>& exchange, http::Response response) {
  context_of(exchange->request()).audit.error = response.error;
  add_headers(response, exchange->request());
  exchange->respond(std::move(response));
}

void respond(const std::shared_ptr<http::Exchange>& exchange, const ApiError& error) {
  respond(exchange, to_response(error));
}

void Gateway::watch_request(const http::Request& request) {
  const auth::Identity& identity = context_of(request).identity;
  if (services_.watch != nullptr && !identity.id.empty()) services_.watch->request(identity.id, identity.name);
}

std::optional<http::Response> Gateway::check_head(http::Request& request) {
  ++in_flight_;
  auto refusal = run_middleware(*this, request);
  watch_request(request);
  if (!refusal) return std::nullopt;
  context_of(request).audit.error = refusal->error;
  add_headers(*refusal, request);
  return refusal;
}

void Gateway::handle(std::shared_ptr<http::Exchange> exchange) {
  RequestContext& context = context_of(exchange->request());
  if (!context.waiting_token.empty()) return authenticate_later(*this, exchange);
  context.route->handle(*this, exchange);
}

void Gateway::generation_ended(RequestContext& context, GenerationReport report) {
  metrics_.generation_ended(report);
  metrics_.plugins_acted(report.plugin_notes);
  context.plugin_notes = report.plugin_notes;
  context.usage = report.usage;
  context.finish_reason = report.finish_reason;
  if (services_.rate_limits != nullptr) {
    services_.rate_limits->charge_tokens(context.identity, report.usage.prompt_tokens + report.usage.completion_tokens);
  }
  audit_generation(context.audit, std::move(report));
}

http::Response Gateway::refuse(http::Request& request, int status, std::string_view message) {
  if (request.context == nullptr) {
    // The head was broken: it never met the middleware, but is counted and logged like any other.
    ++in_flight_;
    metrics_.request_begun();
    auto context = std::make_shared<RequestContext>();
    context->id = "req_unread";
    context->headers = {{"x-request-id", context->id}};
    context->arrived = std::chrono::steady_clock::now();
    context->audit.arrived_ns = now_ns();
    request.context = std::move(context);
  }
  http::Response response = to_response({kind_of_status(status), std::string(message), {}});
  response.status = status;
  context_of(request).audit.error = response.error;
  add_headers(response, request);
  return response;
}

void Gateway::ending(const http::Request& request, const http::Outcome& outcome, const Settle& settle) {
  if (services_.audit == nullptr || !services_.audit->wait_for_durable()) {
    audit_request(*this, request, outcome, {});
    return settle(std::nullopt);
  }
  http::Response withheld =
      to_response({ApiErrorKind::kAuditUnavailable,
                   "the answer was made, but the audit log could not be written, and nothing is answered without it "
                   "(audit.on_failure: refuse)",
                   {}});
  add_headers(withheld, request);
  // A refusal tells nobody anything.
  const bool anyway = outcome.status >= 400 || answered_unaudited(request);
  audit_request(*this, request, outcome, [settle, anyway, withheld = std::move(withheld)](const Status& on_disk) {
    settle(on_disk || anyway ? std::nullopt : std::optional(withheld));
  });
}

namespace {

// What the anomaly rules want to know of a request that has ended.
void watch_end(anomaly::Watch& watch, const http::Request& request) {
  const RequestContext& context = context_of(request);
  if (context.failed_login) watch.failed_login(*context.failed_login, request.peer);
  if (!context.identity.id.empty()) {
    watch.tokens(context.identity.id, context.identity.name,
                 context.usage.prompt_tokens + context.usage.completion_tokens);
  }
}

}  // namespace

void Gateway::done(const http::Request& request, const http::Outcome& outcome) {
  const RequestContext& context = context_of(request);
  const std::string_view route = context.route == nullptr ? std::string_view("unmatched") : context.route->path;
  // 499 as nginx has it: the client went away before there was a status.
  const int status = outcome.status == 0 ? 499 : outcome.status;
  --in_flight_;
  if (context.counted) services_.rate_limits->release(context.identity);
  metrics_.request_done(route, status);
  if (services_.watch != nullptr) watch_end(*services_.watch, request);
  if (!outcome.complete) metrics_.request_aborted();
  audit_request(*this, request, outcome, {});
  const double ms =
      std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - context.arrived).count();
  const bool probe = context.route != nullptr && context.route->access == Access::kPublic && status < 400;
  const log::Fields fields = {{"request_id", context.id},
                              {"method", request.method_name},
                              {"route", route},
                              {"status", status},
                              {"ms", ms},
                              {"bytes", outcome.body_bytes},
                              {"identity", context.identity.id},
                              {"key", context.identity.name},
                              {"peer", request.peer},
                              {"client_certificate", request.client_subject},
                              {"prompt_tokens", context.usage.prompt_tokens},
                              {"completion_tokens", context.usage.completion_tokens},
                              {"finish", outcome.complete ? std::string_view(context.finish_reason) : outcome.reason}};
  if (probe) {
    log::debug("http.request", fields);
  } else {
    log::info("http.request", fields);
  }
}

namespace {

std::string_view result_text(http::HandshakeReport::Result result) {
  using Result = http::HandshakeReport::Result;
  switch (result) {
    case Result::kDone: return "done";
    case Result::kFailed: return "failed";
    case Result::kTimeout: return "timeout";
    case Result::kPlainHttp: return "plain_http";
    case Result::kCrowdedOut: return "crowded_out";
  }
  return "failed";
}

}  // namespace

void Gateway::handshake_ended(const std::string& peer, const http::HandshakeReport& report) {
  metrics_.handshake_ended(result_text(report.result));
  if (report.result == http::HandshakeReport::Result::kDone) return;
  // Whoever scans the port must not fill the log: one line a second, which says how many it stands for.
  const auto now = std::chrono::steady_clock::now();
  if (now - handshake_logged_ < std::chrono::seconds(1)) {
    ++handshakes_unlogged_;
    return;
  }
  handshake_logged_ = now;
  audit_handshake(*this, peer,
                  {{"result", std::string(result_text(report.result))},
                   {"reason", report.detail},
                   {"more_since", std::to_string(handshakes_unlogged_)}});
  log::info("tls.handshake_failed", {{"peer", peer},
                                     {"result", result_text(report.result)},
                                     {"reason", report.detail},
                                     {"more_since", handshakes_unlogged_}});
  handshakes_unlogged_ = 0;
}

}  // namespace cove::server
