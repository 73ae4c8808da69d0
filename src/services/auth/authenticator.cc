#include "services/auth/authenticator.h"

namespace cove::auth {
namespace {

constexpr std::string_view kUserPrefix = "user:";

Error ended() { return {ErrorCode::kUnauthenticated, "the sign-in has ended"}; }

}  // namespace

Result<Identity> Authenticator::verify(std::string_view credential, int64_t now_s) {
  return parts_.keys->verify(credential, now_s);
}

Result<Identity> Authenticator::current(const Identity& identity, int64_t now_s) {
  if (identity.key_id != 0) {
    TRY_ASSIGN(Identity current, parts_.keys->current(identity.key_id, now_s));
    current.since_s = identity.since_s;
    return current;
  }
  if (!identity.id.starts_with(kUserPrefix)) return identity;
  if (parts_.users == nullptr) return ended();
  const auto user = parts_.users->find(std::string_view(identity.id).substr(kUserPrefix.size()));
  if (!user) return user.error().code == ErrorCode::kNotFound ? ended() : user.error();
  if (user->disabled_s || identity.since_s < user->password_changed_s) return ended();
  return identity_of(*user, identity.since_s);
}

}  // namespace cove::auth
