#pragma once
// What stands behind the HTTP server: the middleware list, the routes and the endpoints. Knows engine, tokenizer and
// template only through the served model, which is set once loading is done.

#include <atomic>
#include <chrono>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "server/audit_trail.h"
#include "server/http/server.h"
#include "server/served_model.h"
#include "server/server_metrics.h"
#include "server/work_queue.h"
#include "services/auth/addresses.h"
#include "services/auth/authenticator.h"
#include "services/auth/login_guard.h"
#include "services/auth/rate_limits.h"
#include "services/auth/sessions.h"
#include "services/plugins/plugin_set.h"

namespace cove::anomaly {
class Watch;
class Webhook;
}  // namespace cove::anomaly

namespace cove::server {

struct Route;

// What the gateway uses of services/. They outlive it; a null pointer means that the service is off.
struct GatewayServices {
  auth::ApiKeys* keys = nullptr;                  // null only with AuthMode::kOff
  auth::Sessions* sessions = nullptr;             // never null
  auth::Users* users = nullptr;                   // null = nobody signs in with a password
  auth::TokenIssuer* tokens = nullptr;            // null = no /token
  auth::ForeignTokens* foreign_tokens = nullptr;  // null = no other issuer is trusted
  auth::LoginGuard* login_guard = nullptr;        // null = failed sign-ins lock nobody out
  auth::RateLimits* rate_limits = nullptr;        // null = nobody is limited
  const auth::AddressRules* addresses = nullptr;  // null = everybody may connect, no proxy is believed
  anomaly::Watch* watch = nullptr;                // null = nothing is watched
  const anomaly::Webhook* webhook = nullptr;      // of the watch, for the metrics
  const plugins::PluginSet* plugins = nullptr;    // null = none
  audit::Log* audit = nullptr;                    // null = nothing is audited
  std::filesystem::path audit_dir{};              // of its files; empty = they cannot be read over the API
};

enum class AuthMode : uint8_t { kRequired, kOff };

struct GatewayOptions {
  AuthMode auth = AuthMode::kRequired;
  MetricsRegistry::Aliases aliases = MetricsRegistry::Aliases::kHide;
  WorkQueueOptions work;
  WorkQueueOptions plugin_work{.threads = 8, .tasks_max = 4096};
};

// What is known of one request, from its head to its end.
struct RequestContext {
  std::string id;  // x-request-id
  const Route* route = nullptr;
  auth::Identity identity;
  std::string waiting_token;            // whose issuer's keys must be fetched before anybody knows who this is
  bool counted = false;                 // has a place among the concurrent requests of its identity
  std::vector<http::Header> headers{};  // of the answer, whatever it is: x-request-id, x-ratelimit-*
  std::chrono::steady_clock::time_point arrived;
  AnswerUsage usage;  // of a generation
  std::string finish_reason;
  // Set where a sign-in or a credential failed: the account that was named, empty when none was (an API key).
  std::optional<std::string> failed_login;
  plugins::PluginNotes plugin_notes;  // what plugins did, to the prompt and to the answer
  AuditNotes audit;
};

class Gateway final : public http::Handler {
 public:
  Gateway(const GatewayOptions& options, const GatewayServices& services);

  // The model is ready, or more is known of it. Any thread.
  void set_model(std::shared_ptr<const ServedModel> model);
  // From now on /readyz says no and new work is refused. Any thread.
  void drain() { draining_ = true; }
  // Requests being handled. Any thread.
  size_t in_flight() const { return in_flight_; }
  // For the connection count in /metrics; the server outlives its last request.
  void set_server(const http::Server* server) { http_server_ = server; }

  std::optional<http::Response> check_head(http::Request& request) override;
  void handle(std::shared_ptr<http::Exchange> exchange) override;
  http::Response refuse(http::Request& request, int status, std::string_view message) override;
  // The record is written before the answer's last bytes are sent; where the log promises safety and cannot keep it,
  // they never are.
  void ending(const http::Request& request, const http::Outcome& outcome, const Settle& settle) override;
  void done(const http::Request& request, const http::Outcome& outcome) override;
  void handshake_ended(const std::string& peer, const http::HandshakeReport& report) override;

  // For middleware and endpoints.
  const GatewayOptions& options() const { return options_; }
  const GatewayServices& services() const { return services_; }
  auth::ApiKeys* keys() { return services_.keys; }
  auth::Authenticator& authenticator() { return authenticator_; }
  auth::Sessions& sessions() { return *services_.sessions; }
  ServerMetrics& metrics() { return metrics_; }
  WorkQueue& work() { return work_; }
  // For what plugins do that may wait (scripts, hooks): they must not hold up the parsing of others' requests. Null
  // when no plugin may.
  WorkQueue* plugin_work() { return plugin_work_.get(); }
  // One thread for passwords and for what administrators change: hashing must not take every worker and all memory.
  WorkQueue& slow_work() { return slow_work_; }
  // A generation is over: metrics, the request's notes, the identity's tokens. Any thread that may touch the context.
  void generation_ended(RequestContext& context, GenerationReport report);
  // Counts a request for the anomaly rules, once it is known whose it is.
  void watch_request(const http::Request& request);
  std::shared_ptr<const ServedModel> model() const;
  engine::Health health() const;
  // Nothing is served because it cannot be audited.
  bool audit_blocks() const;
  size_t connections() const { return http_server_ == nullptr ? 0 : http_server_->connections(); }

 private:
  GatewayOptions options_;
  GatewayServices services_;
  auth::Authenticator authenticator_;
  const http::Server* http_server_ = nullptr;
  ServerMetrics metrics_;
  std::atomic<bool> draining_{false};
  std::atomic<size_t> in_flight_{0};
  std::chrono::steady_clock::time_point handshake_logged_;  // I/O thread
  int64_t handshakes_unlogged_ = 0;                         // I/O thread
  mutable std::mutex mutex_;                                // guards model_
  std::shared_ptr<const ServedModel> model_;
  WorkQueue work_;  // these last: their tasks use the rest
  WorkQueue slow_work_{{.threads = 1, .tasks_max = 32}};
  std::unique_ptr<WorkQueue> plugin_work_;
};

// The request's context; made by the first middleware.
RequestContext& context_of(const http::Request& request);

// What a caller must be allowed to do.
using Access = auth::Right;
// What a browser gets instead of a JSON 401.
enum class Unauthenticated : uint8_t { kError, kLoginPage };
enum class Body : uint8_t { kNone, kJson, kForm };
enum class Needs : uint8_t { kNothing, kModel };

struct Route {
  http::Method method;
  std::string_view path;  // "{id}" at the end matches the rest
  Access access;
  void (*handle)(Gateway& gateway, const std::shared_ptr<http::Exchange>& exchange);
  Body body = Body::kNone;
  Needs needs = Needs::kNothing;
  Unauthenticated unauthenticated = Unauthenticated::kError;
};
std::span<const Route> routes();
// The part of the path that "{id}" stands for.
std::string_view path_parameter(const Route& route, std::string_view path);

// Answers with the request id added. Every endpoint answers through it.
void respond(const std::shared_ptr<http::Exchange>& exchange, http::Response response);
void respond(const std::shared_ptr<http::Exchange>& exchange, const ApiError& error);

}  // namespace cove::server
