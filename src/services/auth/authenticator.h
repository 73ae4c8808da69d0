#pragma once
// The one place that decides whom a credential belongs to: an API key, one of our tokens, a token of a foreign issuer.
// Any thread.

#include <string_view>

#include "services/auth/api_keys.h"
#include "services/auth/foreign_tokens.h"
#include "services/auth/token_issuer.h"
#include "services/auth/users.h"

namespace cove::auth {

struct AuthenticatorParts {
  ApiKeys* keys = nullptr;
  Users* users = nullptr;            // null = no users
  TokenIssuer* tokens = nullptr;     // null = we issue no tokens
  ForeignTokens* foreign = nullptr;  // null = nobody else's are accepted
};

class Authenticator {
 public:
  explicit Authenticator(const AuthenticatorParts& parts) : parts_(parts) {}

  // Errors: kUnauthenticated, kPermissionDenied and kUnavailable (ForeignTokens::verify), kIo. With Waiting::kNo never
  // waits for the network.
  Result<Identity> verify(std::string_view credential, int64_t now_s, Waiting waiting);
  // Somebody who proved who they are some time ago (a session, a token), as they are now: disabled accounts, revoked
  // keys and changed passwords end it, a new role counts at once. Errors: kUnauthenticated, kIo.
  Result<Identity> current(const Identity& identity, int64_t now_s);

 private:
  Result<Identity> verify_token(std::string_view token, int64_t now_s, Waiting waiting);
  Result<Identity> current_user(std::string_view name, int64_t since_s);
  Result<Identity> subject_of(const TokenGrant& grant, int64_t now_s);

  AuthenticatorParts parts_;
};

}  // namespace cove::auth
