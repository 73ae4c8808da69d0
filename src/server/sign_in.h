#pragma once
// Proving a password or a key at /login and /token: one place for lock-outs and metrics.

#include <functional>
#include <memory>
#include <string>

#include "server/gateway.h"

namespace cove::server {

struct SignInResult {
  enum class State : uint8_t { kDone, kRefused, kLocked, kFailed } state = State::kRefused;
  auth::Identity identity;    // kDone
  int64_t retry_after_s = 0;  // kLocked
};

// A key or a client's secret; at once, on the I/O thread. `client_id`: empty, or what the secret must belong to:
// "key:12", "12" or the key's name. A failure is noted in the request's context.
SignInResult sign_in_with_key(Gateway& gateway, const http::Request& request, const std::string& secret,
                              const std::string& client_id = {});
// A user's password: hashed on the slow work queue, `then` runs on the I/O thread (unless the client has gone). False
// when too many wait: nothing will be called.
[[nodiscard]] bool sign_in_with_password(Gateway& gateway, const std::shared_ptr<http::Exchange>& exchange,
                                         std::string user, std::string password,
                                         std::function<void(const SignInResult&)> then);

}  // namespace cove::server
