#include "server/middleware.h"

#include <algorithm>
#include <ctime>

#include <fmt/format.h>

#include "services/auth/random_token.h"

namespace cove::server {
namespace {

using http::Method;
using http::Request;
using http::Response;
using Refusal = std::optional<Response>;

Refusal refuse(ApiErrorKind kind, std::string message) { return to_response({kind, std::move(message), {}}); }

// A client's own id is kept when it is harmless in logs and headers.
bool acceptable_id(std::string_view id) {
  constexpr std::string_view kAllowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:";
  return !id.empty() && id.size() <= 128 && id.find_first_not_of(kAllowed) == std::string_view::npos;
}

Refusal identify_request(Gateway& gateway, Request& request) {
  auto context = std::make_shared<RequestContext>();
  const std::string_view given = request.header("x-request-id");
  context->id = acceptable_id(given) ? std::string(given) : "req_" + auth::random_token(12);
  context->headers = {{"x-request-id", context->id}};
  context->arrived = std::chrono::steady_clock::now();
  context->audit.arrived_ns = now_ns();
  request.context = std::move(context);
  gateway.metrics().request_begun();
  return std::nullopt;
}

// All lines of X-Forwarded-For, in their order.
std::string forwarded_for(const Request& request) {
  std::string all;
  for (const http::Header& header : request.headers) {
    if (http::equal_ignoring_case(header.name, "x-forwarded-for"))
      all.append(all.empty() ? "" : ",").append(header.value);
  }
  return all;
}

Refusal check_address(Gateway& gateway, Request& request) {
  const auth::AddressRules* rules = gateway.services().addresses;
  if (rules == nullptr) return std::nullopt;
  request.peer = auth::client_address(*rules, request.peer, forwarded_for(request));
  if (auth::address_allowed(*rules, request.peer)) return std::nullopt;
  return refuse(ApiErrorKind::kAddressNotAllowed, fmt::format("the address {} may not use this server", request.peer));
}

bool path_matches(const Route& route, std::string_view path) {
  const size_t brace = route.path.find('{');
  if (brace == std::string_view::npos) return path == route.path;
  return path.size() > brace && path.starts_with(route.path.substr(0, brace));
}

std::string_view method_text(Method method) {
  switch (method) {
    case Method::kGet: return "GET, HEAD";
    case Method::kPost: return "POST";
    case Method::kPatch: return "PATCH";
    case Method::kDelete: return "DELETE";
    default: return "";
  }
}

Refusal find_route(Gateway&, Request& request) {
  const Method wanted = request.method == Method::kHead ? Method::kGet : request.method;
  std::string allowed;
  for (const Route& route : routes()) {
    if (!path_matches(route, request.path)) continue;
    if (route.method == wanted) {
      context_of(request).route = &route;
      return std::nullopt;
    }
    allowed += (allowed.empty() ? "" : ", ") + std::string(method_text(route.method));
  }
  if (allowed.empty())
    return refuse(ApiErrorKind::kUnknownUrl,
                  fmt::format("there is no '{}' here; /docs lists what there is", request.path));
  Response response;
  if (request.method == Method::kOptions) {
    response.status = 204;
    response.content_type.clear();
  } else {
    response = to_response({ApiErrorKind::kMethodNotAllowed,
                            fmt::format("{} is not possible here, but {} is", request.method_name, allowed),
                            {}});
  }
  response.headers.push_back({"Allow", allowed + ", OPTIONS"});
  return response;
}

// "host:port" of "http://host:port".
std::string_view authority(std::string_view origin) {
  const size_t scheme = origin.find("://");
  return scheme == std::string_view::npos ? std::string_view() : origin.substr(scheme + 3);
}

bool same_origin(const Request& request) {
  const std::string_view origin = request.header("origin");
  if (!origin.empty()) return authority(origin) == request.header("host");
  const std::string_view site = request.header("sec-fetch-site");
  return site.empty() || site == "same-origin" || site == "none";
}

bool loopback_host(std::string_view host) {
  const size_t colon = host.rfind(':');
  const bool has_port = colon != std::string_view::npos && host.find(']', colon) == std::string_view::npos;
  std::string name(has_port ? host.substr(0, colon) : host);
  if (name.size() > 2 && name.front() == '[') name = name.substr(1, name.size() - 2);
  return http::is_loopback(name);
}

// Without authentication the only wall against a web page the user happens to visit is the browser's own: same origin,
// and a host name that is really this machine's (a foreign name that resolves to 127.0.0.1 would pass as same origin).
Refusal check_open_server(Gateway& gateway, Request& request) {
  if (gateway.options().auth != AuthMode::kOff) return std::nullopt;
  const std::string_view host = request.header("host");
  if (!host.empty() && !loopback_host(host)) {
    return refuse(ApiErrorKind::kCrossOrigin, "with auth.mode off this server answers to localhost and 127.0.0.1 only");
  }
  if (!same_origin(request)) return refuse(ApiErrorKind::kCrossOrigin, "requests from other web sites are refused");
  return std::nullopt;
}

std::string_view bearer_token(const Request& request) {
  const std::string_view authorization = request.header("authorization");
  constexpr std::string_view kScheme = "bearer ";
  if (authorization.size() > kScheme.size() &&
      http::equal_ignoring_case(authorization.substr(0, kScheme.size()), kScheme)) {
    std::string_view token = authorization.substr(kScheme.size());
    token.remove_prefix(std::min(token.find_first_not_of(' '), token.size()));
    return token;
  }
  return request.header("x-api-key");
}

Refusal refuse_identity(const Request& request, ApiErrorKind kind, std::string message) {
  if (context_of(request).route->unauthenticated == Unauthenticated::kLoginPage) {
    Response response;
    response.status = 303;
    response.content_type.clear();
    response.headers = {{"Location", "/login"}, {"Cache-Control", "no-store"}};
    return response;
  }
  return refuse(kind, std::move(message));
}

Refusal use_session(Gateway& gateway, Request& request, std::string_view cookie) {
  const auto identity = gateway.sessions().find(cookie);
  if (!identity)
    return refuse_identity(request, ApiErrorKind::kInvalidKey, "the sign-in has ended; sign in again at /login");
  const bool changes = request.method != Method::kGet && request.method != Method::kHead;
  if (changes && !same_origin(request))
    return refuse(ApiErrorKind::kCrossOrigin, "requests from other web sites are refused");
  auto current = gateway.authenticator().current(*identity, std::time(nullptr));
  if (!current) {
    if (current.error().code != ErrorCode::kUnauthenticated)
      return refuse(ApiErrorKind::kInternal, "the key database cannot be read");
    gateway.sessions().end(cookie);
    return refuse_identity(request, ApiErrorKind::kInvalidKey, "the sign-in has ended; sign in again at /login");
  }
  context_of(request).identity = std::move(*current);
  return std::nullopt;
}

Refusal refuse_credential(RequestContext& context, const Error& error) {
  if (error.code == ErrorCode::kUnauthenticated) context.failed_login = "";
  switch (error.code) {
    case ErrorCode::kUnauthenticated: return refuse(ApiErrorKind::kInvalidKey, error.message);
    case ErrorCode::kPermissionDenied: return refuse(ApiErrorKind::kForbidden, error.message);
    case ErrorCode::kFailedPrecondition:
    case ErrorCode::kUnavailable: return refuse(ApiErrorKind::kUnavailable, error.message);
    default: return refuse(ApiErrorKind::kInternal, "the key database cannot be read");
  }
}

void refresh_keys_in_background(Gateway& gateway) {
  auth::ForeignTokens* foreign = gateway.services().foreign_tokens;
  if (foreign == nullptr || !foreign->wants_refresh()) return;
  // A full queue only means that a later request asks again.
  (void)gateway.work().try_push([foreign] { (void)foreign->refresh(); });
}

Refusal authenticate(Gateway& gateway, Request& request) {
  RequestContext& context = context_of(request);
  if (context.route->access == Access::kPublic) {
    // Another site must not sign its visitor in as somebody else.
    if (request.method == Method::kPost && !same_origin(request)) {
      return refuse(ApiErrorKind::kCrossOrigin, "requests from other web sites are refused");
    }
    return std::nullopt;
  }
  if (gateway.options().auth == AuthMode::kOff) {
    context.identity = {.key_id = 0, .id = "anonymous", .name = "anonymous", .role = auth::Role::kAdmin};
    return std::nullopt;
  }
  const std::string_view token = bearer_token(request);
  if (token.empty()) {
    const std::string_view cookie = http::cookie_value(request, "cove_session");
    if (!cookie.empty()) return use_session(gateway, request, cookie);
    return refuse_identity(request, ApiErrorKind::kMissingKey,
                           "an API key is needed: send 'Authorization: Bearer sk-cove-...'");
  }
  auto identity = gateway.authenticator().verify(token, std::time(nullptr), auth::Waiting::kNo);
  if (!identity && identity.error().code == ErrorCode::kUnavailable) {
    context.waiting_token = token;
    return std::nullopt;
  }
  if (!identity) return refuse_credential(context, identity.error());
  context.identity = std::move(*identity);
  refresh_keys_in_background(gateway);
  return std::nullopt;
}

Refusal authorize(Gateway& gateway, Request& request) {
  const RequestContext& context = context_of(request);
  const auth::Right right = context.route->access;
  const auth::Identity& identity = context.identity;
  if (right == auth::Right::kPublic || !context.waiting_token.empty()) return std::nullopt;
  if (!auth::may(identity.role, right)) {
    return refuse(ApiErrorKind::kForbidden, fmt::format("this needs the right '{}', which the role '{}' does not have",
                                                        auth::to_string(right), auth::to_string(identity.role)));
  }
  if (!auth::scopes_allow(identity.scopes, right, request.path)) {
    return refuse(ApiErrorKind::kForbidden,
                  fmt::format("this key or token is limited to: {}", auth::join_scopes(identity.scopes)));
  }
  const auto model = context.route->needs == Needs::kModel ? gateway.model() : nullptr;
  if (model != nullptr && !auth::scopes_allow_model(identity.scopes, model->name)) {
    return refuse(ApiErrorKind::kForbidden,
                  fmt::format("this key or token is limited to: {}", auth::join_scopes(identity.scopes)));
  }
  return std::nullopt;
}

Refusal reserve_audit(Gateway& gateway, Request& request) {
  auto error = admit_to_audit(gateway, request);
  if (!error) return std::nullopt;
  return to_response(*error);
}

Refusal check_readiness(Gateway& gateway, Request& request) {
  const RequestContext& context = context_of(request);
  if (context.route->needs != Needs::kModel || !context.waiting_token.empty()) return std::nullopt;
  switch (gateway.health()) {
    case engine::Health::kReady: return std::nullopt;
    case engine::Health::kLoading:
      return refuse(ApiErrorKind::kLoading, "the model is being loaded; try again in a moment");
    case engine::Health::kDraining: return refuse(ApiErrorKind::kDraining, "the server is shutting down");
    case engine::Health::kStuck: return refuse(ApiErrorKind::kUnavailable, "the engine is stuck");
    case engine::Health::kFailed: return refuse(ApiErrorKind::kUnavailable, "the engine has failed");
  }
  return std::nullopt;
}

Refusal check_content_type(Gateway&, Request& request) {
  const Body body = context_of(request).route->body;
  if (body == Body::kNone) return std::nullopt;
  if (!request.header("content-encoding").empty())
    return refuse(ApiErrorKind::kUnsupportedMediaType, "compressed bodies are not accepted");
  std::string_view type = request.header("content-type");
  const std::string_view essence = type.substr(0, type.find_first_of("; "));
  const bool json = essence.empty() || http::equal_ignoring_case(essence, "application/json");
  const bool form = http::equal_ignoring_case(essence, "application/x-www-form-urlencoded");
  if (json || (body == Body::kForm && form)) return std::nullopt;
  return refuse(ApiErrorKind::kUnsupportedMediaType,
                fmt::format("the body must be 'Content-Type: application/json', not '{}'", essence));
}

// Pages, probes and administration are not limited: who has used everything up must still be able to look and to mend.
bool limited(auth::Right right) {
  return right == auth::Right::kInfer || right == auth::Right::kModels || right == auth::Right::kKnowledge ||
         right == auth::Right::kKnowledgeWrite;
}

// As OpenAI writes durations: "1s", "6m0s", "2h0m0s".
std::string duration_text(int64_t seconds) {
  const int64_t hours = seconds / 3600;
  const int64_t minutes = seconds / 60 % 60;
  std::string out;
  if (hours > 0) out += fmt::format("{}h", hours);
  if (hours > 0 || minutes > 0) out += fmt::format("{}m", minutes);
  return out + fmt::format("{}s", seconds % 60);
}

void add_limit_headers(RequestContext& context, std::string_view what, const std::optional<auth::LimitState>& state) {
  if (!state) return;
  context.headers.push_back({fmt::format("x-ratelimit-limit-{}", what), std::to_string(state->limit)});
  context.headers.push_back({fmt::format("x-ratelimit-remaining-{}", what), std::to_string(state->remaining)});
  context.headers.push_back({fmt::format("x-ratelimit-reset-{}", what), duration_text(state->reset_s)});
}

// "requests per minute"
std::string limit_words(std::string_view limit) {
  std::string words(limit);
  std::ranges::replace(words, '_', ' ');
  return words;
}

Refusal check_limits(Gateway& gateway, Request& request) {
  RequestContext& context = context_of(request);
  auth::RateLimits* limits = gateway.services().rate_limits;
  if (limits == nullptr || !limited(context.route->access) || !context.waiting_token.empty()) return std::nullopt;
  const auth::Admission admission = limits->admit(context.identity);
  add_limit_headers(context, "requests", admission.requests);
  add_limit_headers(context, "tokens", admission.tokens);
  context.counted = admission.admitted;
  if (admission.admitted) return std::nullopt;
  gateway.metrics().request_limited(admission.limit);
  const bool daily = admission.limit.ends_with("_per_day");
  Response response = to_response({daily ? ApiErrorKind::kQuotaExceeded : ApiErrorKind::kRateLimited,
                                   fmt::format("the limit of {} {} is reached; try again in {}", admission.limit_value,
                                               limit_words(admission.limit), duration_text(admission.retry_after_s)),
                                   {}});
  std::erase_if(response.headers, [](const http::Header& header) { return header.name == "Retry-After"; });
  response.headers.push_back({"Retry-After", std::to_string(admission.retry_after_s)});
  return response;
}

using Middleware = Refusal (*)(Gateway&, Request&);

// In the order in which a request's head meets them.
constexpr Middleware kBeforeBody[] = {
    identify_request,    // first: whatever happens later can be found in the log by its id
    check_address,       // before anything of the request is looked at
    find_route,          // the route says what the next ones ask for
    check_open_server,   // before identity, because with auth.mode off there is none
    authenticate,        // before anything that costs work or tells about the server's state
    authorize,           // needs the identity
    reserve_audit,       // before anything is done that could not be recorded; only who may ask learns of it
    check_content_type,  // cheap, and keeps browsers from posting without a preflight
    check_readiness,     // only who may ask learns that the model is loading or the server draining
    check_limits,        // last: what was refused for another reason is not counted
};

// When it became known only later who asks.
constexpr Middleware kAfterWaiting[] = {authorize, check_readiness, check_limits};

void continue_request(Gateway& gateway, const std::shared_ptr<http::Exchange>& exchange,
                      Result<auth::Identity> identity) {
  if (exchange->closed()) return;
  RequestContext& context = context_of(exchange->request());
  context.waiting_token.clear();
  Refusal refusal;
  if (identity) {
    context.identity = std::move(*identity);
    gateway.watch_request(exchange->request());
    for (const Middleware middleware : kAfterWaiting) {
      refusal = middleware(gateway, exchange->request());
      if (refusal) break;
    }
  } else {
    refusal = refuse_credential(context, identity.error());
  }
  if (refusal) return respond(exchange, std::move(*refusal));
  context.route->handle(gateway, exchange);
}

}  // namespace

std::optional<Response> run_middleware(Gateway& gateway, Request& request) {
  for (const Middleware middleware : kBeforeBody) {
    if (auto refusal = middleware(gateway, request)) return refusal;
  }
  return std::nullopt;
}

void authenticate_later(Gateway& gateway, const std::shared_ptr<http::Exchange>& exchange) {
  const bool taken = gateway.work().try_push([&gateway, exchange] {
    const std::string& token = context_of(exchange->request()).waiting_token;
    auto identity = gateway.authenticator().verify(token, std::time(nullptr), auth::Waiting::kAllowed);
    exchange->post(
        [&gateway, exchange, identity = std::move(identity)] { continue_request(gateway, exchange, identity); });
  });
  if (!taken)
    respond(exchange, {ApiErrorKind::kQueueFull, "too many requests are being read; try again in a moment", {}});
}

}  // namespace cove::server
