// POST /token: OAuth2 (RFC 6749) with the grants password and client_credentials; GET /.well-known/jwks.json, the keys
// that our tokens can be verified with.
#include <algorithm>
#include <ctime>

#include <fmt/format.h>

#include "base/json_text.h"
#include "server/endpoints/endpoints.h"
#include "server/sign_in.h"
#include "services/auth/base64url.h"

namespace cove::server {
namespace {

// As RFC 6749, 5.2 has it: an object of its own, not the API's.
http::Response oauth_error(int status, std::string_view error, std::string_view description) {
  http::Response response;
  response.status = status;
  response.error = error;
  response.headers = {{"Cache-Control", "no-store"}, {"Pragma", "no-cache"}};
  if (status == 401) response.headers.push_back({"WWW-Authenticate", "Basic realm=\"cove\""});
  response.body = R"({"error":)";
  append_json_string(response.body, error);
  response.body += R"(,"error_description":)";
  append_json_string(response.body, description);
  response.body += "}";
  return response;
}

http::Response refused(const SignInResult& result, int status, std::string_view error, std::string_view description) {
  if (result.state == SignInResult::State::kFailed)
    return oauth_error(503, "temporarily_unavailable", "the database cannot be read");
  if (result.state != SignInResult::State::kLocked) return oauth_error(status, error, description);
  http::Response response =
      oauth_error(429, error, fmt::format("too many failed attempts; try again in {} s", result.retry_after_s));
  response.headers.push_back({"Retry-After", std::to_string(result.retry_after_s)});
  return response;
}

// RFC 6749, 3.2: a parameter given twice is an error.
bool given_twice(std::string_view body, std::string_view name) {
  int count = 0;
  while (!body.empty()) {
    const std::string_view pair = body.substr(0, body.find('&'));
    if (http::percent_decode(pair.substr(0, pair.find('='))) == name) ++count;
    body.remove_prefix(std::min(pair.size() + 1, body.size()));
  }
  return count > 1;
}

struct Client {
  std::string id;
  std::string secret;
  enum class From : uint8_t { kNowhere, kHeader, kBody, kBroken } from = From::kNowhere;
};

std::string form_decode(std::string text) {
  std::ranges::replace(text, '+', ' ');
  return http::percent_decode(text);
}

// "Basic base64(id:secret)", both form-encoded (RFC 6749, 2.3.1).
Client client_of_header(std::string_view authorization) {
  Client broken{.id = {}, .secret = {}, .from = Client::From::kBroken};
  constexpr std::string_view kScheme = "basic ";
  if (authorization.size() <= kScheme.size() ||
      !http::equal_ignoring_case(authorization.substr(0, kScheme.size()), kScheme)) {
    return broken;
  }
  const std::string_view encoded = authorization.substr(kScheme.size());
  const auto decoded = auth::base64_decode(encoded);
  const size_t colon = decoded ? decoded->find(':') : std::string::npos;
  if (colon == std::string::npos) return broken;
  return {.id = form_decode(decoded->substr(0, colon)),
          .secret = form_decode(decoded->substr(colon + 1)),
          .from = Client::From::kHeader};
}

Client client_of(const http::Request& request) {
  const std::string_view authorization = request.header("authorization");
  if (!authorization.empty()) return client_of_header(authorization);
  Client client{.id = http::query_value(request.body, "client_id"),
                .secret = http::query_value(request.body, "client_secret")};
  if (!client.secret.empty()) client.from = Client::From::kBody;
  return client;
}

// The scopes that the token shall have: what was asked for, which the identity must have, or all that it has.
std::optional<auth::Scopes> granted_scopes(const auth::Identity& identity, const auth::Scopes& wanted) {
  if (wanted.empty()) return identity.scopes;
  if (!auth::check_scopes(wanted)) return std::nullopt;
  if (identity.scopes.empty()) return wanted;
  const bool all = std::ranges::all_of(wanted, [&](const std::string& scope) {
    return std::ranges::find(identity.scopes, scope) != identity.scopes.end();
  });
  if (!all) return std::nullopt;
  // A key that is held to some models or routes stays so, whichever of its scopes were named.
  auth::Scopes granted = wanted;
  const auto narrows_models = [](const std::string& scope) { return scope.starts_with("model:"); };
  for (const bool models : {true, false}) {
    const bool named = std::ranges::any_of(wanted, [&](const std::string& s) { return narrows_models(s) == models; });
    if (named) continue;
    std::ranges::copy_if(identity.scopes, std::back_inserter(granted),
                         [&](const std::string& s) { return narrows_models(s) == models; });
  }
  return granted;
}

http::Response token_response(Gateway& gateway, const auth::Identity& identity, const auth::Scopes& wanted) {
  const auto scopes = granted_scopes(identity, wanted);
  if (!scopes) return oauth_error(400, "invalid_scope", "the scope is unknown, or beyond what this identity has");
  const auto issued = gateway.services().tokens->issue(identity, *scopes, std::time(nullptr));
  if (!issued) return oauth_error(500, "server_error", "the token could not be signed");
  http::Response response;
  response.headers = {{"Cache-Control", "no-store"}, {"Pragma", "no-cache"}};
  response.body = R"({"access_token":)";
  append_json_string(response.body, issued->token);
  response.body += R"(,"token_type":"Bearer","expires_in":)";
  append_json_number(response.body, issued->expires_in_s);
  if (!scopes->empty()) {
    response.body += R"(,"scope":)";
    append_json_string(response.body, auth::join_scopes(*scopes));
  }
  response.body += "}";
  return response;
}

// The client must prove itself when it says who it is; a password alone comes from a public client.
std::optional<http::Response> refuse_client(Gateway& gateway, const http::Request& request, const Client& client) {
  if (client.from == Client::From::kBroken)
    return oauth_error(401, "invalid_client", "the Authorization header is not 'Basic' with an id and a secret");
  if (client.from == Client::From::kNowhere) return std::nullopt;
  const SignInResult result = sign_in_with_key(gateway, request, client.secret, client.id);
  if (result.state == SignInResult::State::kDone) return std::nullopt;
  return refused(result, 401, "invalid_client", "the client is unknown, or its secret is wrong");
}

void password_grant(Gateway& gateway, const ExchangePtr& exchange, const Client& client, const auth::Scopes& scopes) {
  const http::Request& request = exchange->request();
  std::string user = http::query_value(request.body, "username");
  std::string password = http::query_value(request.body, "password");
  if (user.empty() || password.empty())
    return respond(exchange, oauth_error(400, "invalid_request", "the grant password needs username and password"));
  if (auto refusal = refuse_client(gateway, request, client)) return respond(exchange, std::move(*refusal));
  const bool taken = sign_in_with_password(
      gateway, exchange, std::move(user), std::move(password),
      [&gateway, exchange, scopes](const SignInResult& result) {
        if (result.state == SignInResult::State::kDone)
          return respond(exchange, token_response(gateway, result.identity, scopes));
        respond(exchange, refused(result, 400, "invalid_grant", "the user name or the password is wrong"));
      });
  if (taken) return;
  http::Response response = oauth_error(503, "temporarily_unavailable", "too many sign-ins at the same time");
  response.headers.push_back({"Retry-After", "2"});
  respond(exchange, std::move(response));
}

http::Response client_grant(Gateway& gateway, const http::Request& request, const Client& client,
                            const auth::Scopes& scopes) {
  if (client.from == Client::From::kNowhere || client.from == Client::From::kBroken) {
    return oauth_error(401, "invalid_client",
                       "send the API key's id and the key itself as 'Authorization: Basic', or as client_id and "
                       "client_secret");
  }
  const SignInResult result = sign_in_with_key(gateway, request, client.secret, client.id);
  if (result.state == SignInResult::State::kDone) return token_response(gateway, result.identity, scopes);
  return refused(result, 401, "invalid_client", "the client is unknown, or its secret is wrong");
}

}  // namespace

void token(Gateway& gateway, const ExchangePtr& exchange) {
  const http::Request& request = exchange->request();
  if (gateway.services().tokens == nullptr || gateway.services().users == nullptr)
    return respond(exchange, oauth_error(400, "invalid_request", "this server issues no tokens (auth.mode off)"));
  if (!request.header("content-type").starts_with("application/x-www-form-urlencoded")) {
    return respond(exchange, oauth_error(400, "invalid_request", "send a form: application/x-www-form-urlencoded"));
  }
  for (const std::string_view name : {"grant_type", "username", "password", "client_id", "client_secret", "scope"}) {
    if (given_twice(request.body, name))
      return respond(exchange, oauth_error(400, "invalid_request", fmt::format("'{}' is given twice", name)));
  }
  const std::string grant = http::query_value(request.body, "grant_type");
  const auth::Scopes scopes = auth::split_scopes(http::query_value(request.body, "scope"));
  const Client client = client_of(request);
  if (client.from == Client::From::kHeader && !http::query_value(request.body, "client_secret").empty())
    return respond(exchange,
                   oauth_error(400, "invalid_request", "the client is given twice: in the header and the body"));
  if (grant == "password") return password_grant(gateway, exchange, client, scopes);
  if (grant == "client_credentials") return respond(exchange, client_grant(gateway, request, client, scopes));
  if (grant.empty()) return respond(exchange, oauth_error(400, "invalid_request", "grant_type is missing"));
  respond(exchange, oauth_error(400, "unsupported_grant_type", "grant_type is password or client_credentials"));
}

void jwks(Gateway& gateway, const ExchangePtr& exchange) {
  if (gateway.services().tokens == nullptr)
    return respond(exchange, {ApiErrorKind::kNotFound, "this server issues no tokens (auth.mode off)", {}});
  respond(exchange, {.headers = {{"Cache-Control", "public, max-age=60"}},
                     .body = gateway.services().tokens->jwks(std::time(nullptr))});
}

}  // namespace cove::server
