// Sign-in of the web page: GET /login?code=... (the one-time link), POST /login with a user's password or an API key,
// POST /logout.
#include "server/dto/field_reader.h"
#include "server/endpoints/endpoints.h"
#include "server/pages/embedded.h"
#include "server/sign_in.h"

namespace cove::server {
namespace {

constexpr std::string_view kCookie = "cove_session=";
constexpr std::string_view kCookieRules = "; Path=/; HttpOnly; SameSite=Strict; Max-Age=";
constexpr std::string_view kSessionSeconds = "43200";

// Over TLS the browser shall never send it in the clear; on plain loopback a `Secure` cookie would not come back.
http::Header set_cookie(const http::Request& request, std::string_view session, std::string_view seconds) {
  return {"Set-Cookie", std::string(kCookie) + std::string(session) + std::string(kCookieRules) + std::string(seconds) +
                            (request.secure ? "; Secure" : "")};
}

// A page that moves on by itself: a redirect would not carry a SameSite=Strict cookie when the link was followed from
// another site.
http::Response signed_in_page(const http::Request& request, std::string_view session) {
  http::Response response = html_page(
      "<!doctype html><meta charset=\"utf-8\"><meta http-equiv=\"refresh\" content=\"0;url=/\"><title>Cove</title>"
      "<p><a href=\"/\">Cove</a></p>\n");
  response.headers.push_back(set_cookie(request, session, kSessionSeconds));
  return response;
}

http::Response login_form(int status) {
  std::string_view page = "login_failed.html";
  if (status == 200) page = "login.html";
  if (status == 429 || status == 503) page = "login_locked.html";
  http::Response response = html_page(*embedded_file(page));
  response.status = status;
  return response;
}

// The fields of the form, which scripts may send as JSON.
struct LoginFields {
  std::string user;
  std::string password;
  std::string key;
};

LoginFields fields_of(const http::Request& request) {
  if (request.header("content-type").starts_with("application/x-www-form-urlencoded")) {
    return {.user = http::query_value(request.body, "user"),
            .password = http::query_value(request.body, "password"),
            .key = http::query_value(request.body, "key")};
  }
  auto object = parse_body(request.body);
  if (!object) return {};
  FieldReader reader(*object);
  return {.user = reader.string("user").value_or(""),
          .password = reader.string("password").value_or(""),
          .key = reader.string("key").value_or("")};
}

http::Response answer_of(Gateway& gateway, const http::Request& request, const SignInResult& result) {
  switch (result.state) {
    case SignInResult::State::kDone: return signed_in_page(request, gateway.sessions().create_session(result.identity));
    case SignInResult::State::kRefused: return login_form(401);
    case SignInResult::State::kFailed: return login_form(503);
    case SignInResult::State::kLocked: break;
  }
  http::Response response = login_form(429);
  response.headers.push_back({"Retry-After", std::to_string(result.retry_after_s)});
  return response;
}

}  // namespace

void login_page(Gateway& gateway, const ExchangePtr& exchange) {
  const http::Request& request = exchange->request();
  const std::string code = http::query_value(request.query, "code");
  // HEAD must not use the code up.
  if (code.empty() || request.method == http::Method::kHead) return respond(exchange, login_form(200));
  const std::string& address = request.peer;
  auth::LoginGuard* guard = gateway.services().login_guard;
  if (const auto wait = guard == nullptr ? std::nullopt : guard->locked({}, address)) {
    return respond(exchange,
                   answer_of(gateway, request,
                             {.state = SignInResult::State::kLocked, .identity = {}, .retry_after_s = wait->count()}));
  }
  const auto session = gateway.sessions().redeem_code(code);
  AuditNotes& notes = context_of(request).audit;
  notes.details["sign_in"] = "code";
  if (session) notes.signed_in = gateway.sessions().find(*session);
  if (!session && guard != nullptr) guard->failed({}, address);
  gateway.metrics().sign_in(session ? "done" : "refused");
  respond(exchange, session ? signed_in_page(request, *session) : login_form(401));
}

void login(Gateway& gateway, const ExchangePtr& exchange) {
  const http::Request& request = exchange->request();
  if (gateway.options().auth == AuthMode::kOff)
    return respond(exchange, signed_in_page(request, gateway.sessions().create_session({})));
  LoginFields fields = fields_of(request);
  if (fields.user.empty() || gateway.services().users == nullptr)
    return respond(exchange, answer_of(gateway, request, sign_in_with_key(gateway, request, fields.key)));
  const bool taken = sign_in_with_password(gateway, exchange, std::move(fields.user), std::move(fields.password),
                                           [&gateway, exchange](const SignInResult& result) {
                                             respond(exchange, answer_of(gateway, exchange->request(), result));
                                           });
  if (!taken) respond(exchange, login_form(503));
}

void logout(Gateway& gateway, const ExchangePtr& exchange) {
  gateway.sessions().end(http::cookie_value(exchange->request(), "cove_session"));
  http::Response response;
  response.status = 303;
  response.content_type.clear();
  response.headers = {{"Location", "/login"}, set_cookie(exchange->request(), "", "0")};
  respond(exchange, std::move(response));
}

}  // namespace cove::server
