#pragma once
// The one place that decides whom a credential belongs to. Nothing here blocks for long: what needs a password hash or
// another machine says so (see each function). Any thread.

#include <string_view>

#include "services/auth/api_keys.h"
#include "services/auth/users.h"

namespace cove::auth {

struct AuthenticatorParts {
  ApiKeys* keys = nullptr;
  Users* users = nullptr;  // null = no users
};

class Authenticator {
 public:
  explicit Authenticator(const AuthenticatorParts& parts) : parts_(parts) {}

  // An API key. Errors: kUnauthenticated, kIo.
  Result<Identity> verify(std::string_view credential, int64_t now_s);
  // Somebody who proved who they are some time ago (a session, a token), as they are now: disabled accounts, revoked
  // keys and changed passwords end it, a new role counts at once. Errors: kUnauthenticated, kIo.
  Result<Identity> current(const Identity& identity, int64_t now_s);

 private:
  AuthenticatorParts parts_;
};

}  // namespace cove::auth
