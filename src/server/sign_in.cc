#include "server/sign_in.h"

#include <ctime>

#include "base/log.h"

namespace cove::server {
namespace {

using State = SignInResult::State;

std::optional<int64_t> lock_of(Gateway& gateway, const std::string& account, const std::string& address) {
  auth::LoginGuard* guard = gateway.services().login_guard;
  const auto wait = guard == nullptr ? std::nullopt : guard->locked(account, address);
  return wait ? std::optional<int64_t>(wait->count()) : std::nullopt;
}

SignInResult locked(Gateway& gateway, int64_t wait_s) {
  gateway.metrics().sign_in("locked");
  return {.state = State::kLocked, .identity = {}, .retry_after_s = wait_s};
}

// Notes how it ended; any thread.
SignInResult noted(Gateway& gateway, const std::string& account, const std::string& address,
                   const Result<auth::Identity>& identity) {
  auth::LoginGuard* guard = gateway.services().login_guard;
  if (identity) {
    if (guard != nullptr) guard->succeeded(account);
    gateway.metrics().sign_in("done");
    log::info("auth.signed_in", {{"identity", identity->id}, {"address", address}});
    return {.state = State::kDone, .identity = *identity};
  }
  if (identity.error().code != ErrorCode::kUnauthenticated) {
    log::error("auth.sign_in_failed", {{"error", identity.error().message}});
    return {.state = State::kFailed, .identity = {}};
  }
  if (guard != nullptr) guard->failed(account, address);
  gateway.metrics().sign_in("refused");
  log::warn("auth.sign_in_refused", {{"address", address}});
  return {.state = State::kRefused, .identity = {}};
}

bool is_client(const auth::Identity& identity, const std::string& client_id) {
  return client_id.empty() || client_id == identity.id || client_id == identity.name ||
         client_id == std::to_string(identity.key_id);
}

}  // namespace

SignInResult sign_in_with_key(Gateway& gateway, const http::Request& request, const std::string& secret,
                              const std::string& client_id) {
  const std::string& address = request.peer;
  if (const auto wait_s = lock_of(gateway, {}, address)) return locked(gateway, *wait_s);
  auto identity = gateway.keys()->verify(secret, std::time(nullptr));
  if (identity && !is_client(*identity, client_id))
    identity = Error{ErrorCode::kUnauthenticated, "the client's id does not belong to its secret"};
  SignInResult result = noted(gateway, {}, address, identity);
  if (result.state == State::kRefused) context_of(request).failed_login = "";
  if (result.state == State::kDone) context_of(request).audit.signed_in = result.identity;
  return result;
}

bool sign_in_with_password(Gateway& gateway, const std::shared_ptr<http::Exchange>& exchange, std::string user,
                           std::string password, std::function<void(const SignInResult&)> then) {
  const std::string address = exchange->request().peer;
  // Capitals are the same account; what is no name at all is one account, too.
  const std::string account = auth::user_name(user).value_or("?");
  return gateway.slow_work().try_push([&gateway, exchange, user = std::move(user), password = std::move(password),
                                       then = std::move(then), account, address] {
    // Looked at here, not on arrival: of many attempts in the queue only the free ones are tried.
    SignInResult result;
    if (const auto wait_s = lock_of(gateway, account, address)) {
      result = locked(gateway, *wait_s);
    } else {
      result = noted(gateway, account, address, gateway.services().users->sign_in(user, password, std::time(nullptr)));
    }
    exchange->post([exchange, then, result, account] {
      RequestContext& context = context_of(exchange->request());
      if (result.state == State::kRefused) context.failed_login = account;
      if (result.state == State::kDone) context.audit.signed_in = result.identity;
      if (!exchange->closed()) then(result);
    });
  });
}

}  // namespace cove::server
