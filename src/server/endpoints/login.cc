// Sign-in of the web page: GET /login?code=... (the one-time link), POST /login with an API key, POST /logout.
#include <ctime>

#include "server/dto/field_reader.h"
#include "server/endpoints/endpoints.h"
#include "server/pages/embedded.h"

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
  http::Response response = html_page(*embedded_file(status == 200 ? "login.html" : "login_failed.html"));
  response.status = status;
  return response;
}

std::string key_of(const http::Request& request) {
  if (!request.header("content-type").starts_with("application/x-www-form-urlencoded")) {
    auto object = parse_body(request.body);
    if (!object) return {};
    return FieldReader(*object).string("key").value_or("");
  }
  return http::query_value(request.body, "key");
}

}  // namespace

void login_page(Gateway& gateway, const ExchangePtr& exchange) {
  const http::Request& request = exchange->request();
  const std::string code = http::query_value(request.query, "code");
  // HEAD must not use the code up.
  if (code.empty() || request.method == http::Method::kHead) return respond(exchange, login_form(200));
  const auto session = gateway.sessions().redeem_code(code);
  respond(exchange, session ? signed_in_page(request, *session) : login_form(401));
}

void login(Gateway& gateway, const ExchangePtr& exchange) {
  if (gateway.options().auth == AuthMode::kOff)
    return respond(exchange, signed_in_page(exchange->request(), gateway.sessions().create_session({})));
  const auto identity = gateway.keys()->verify(key_of(exchange->request()), std::time(nullptr));
  if (!identity) {
    context_of(exchange->request()).failed_login = "";
    return respond(exchange, login_form(401));
  }
  respond(exchange, signed_in_page(exchange->request(), gateway.sessions().create_session(*identity)));
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
