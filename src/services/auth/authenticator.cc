#include "services/auth/authenticator.h"

#include <charconv>

namespace cove::auth {
namespace {

constexpr std::string_view kUserPrefix = "user:";
constexpr std::string_view kKeyPrefix = "key:";

Error ended() { return {ErrorCode::kUnauthenticated, "the sign-in has ended"}; }

}  // namespace

Result<Identity> Authenticator::verify(std::string_view credential, int64_t now_s, Waiting waiting) {
  const bool tokens = parts_.tokens != nullptr || parts_.foreign != nullptr;
  if (tokens && looks_like_token(credential)) return verify_token(credential, now_s, waiting);
  return parts_.keys->verify(credential, now_s);
}

Result<Identity> Authenticator::verify_token(std::string_view token, int64_t now_s, Waiting waiting) {
  TRY_ASSIGN(const ParsedToken parsed, parse_token(token));
  const std::string issuer = token_issuer(parsed);
  if (parts_.tokens != nullptr && issuer == parts_.tokens->issuer()) {
    TRY_ASSIGN(const TokenGrant grant, parts_.tokens->verify(parsed, now_s));
    return subject_of(grant, now_s);
  }
  if (parts_.foreign != nullptr && issuer == parts_.foreign->issuer())
    return parts_.foreign->verify(parsed, now_s, waiting);
  return Error{ErrorCode::kUnauthenticated, "the token's issuer is not one that is trusted here"};
}

// Whom one of our tokens was issued to, as they are now.
Result<Identity> Authenticator::subject_of(const TokenGrant& grant, int64_t now_s) {
  const std::string_view subject = grant.subject;
  Identity identity;
  if (subject.starts_with(kUserPrefix)) {
    TRY_ASSIGN(identity, current_user(subject.substr(kUserPrefix.size()), grant.issued_s));
  } else {
    int64_t key_id = 0;
    const bool is_key = subject.starts_with(kKeyPrefix);
    const std::string_view digits = is_key ? subject.substr(kKeyPrefix.size()) : std::string_view();
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), key_id);
    if (!is_key || error != std::errc() || end != digits.data() + digits.size()) return ended();
    TRY_ASSIGN(identity, parts_.keys->current(key_id, now_s));
    identity.since_s = grant.issued_s;
  }
  // Checked against the owner's own when the token was issued.
  if (!grant.scopes.empty()) identity.scopes = grant.scopes;
  return identity;
}

Result<Identity> Authenticator::current_user(std::string_view name, int64_t since_s) {
  if (parts_.users == nullptr) return ended();
  const auto user = parts_.users->find(name);
  if (!user) return user.error().code == ErrorCode::kNotFound ? ended() : user.error();
  if (user->disabled_s || since_s < user->password_changed_s) return ended();
  return auth::identity_of(*user, since_s);
}

Result<Identity> Authenticator::current(const Identity& identity, int64_t now_s) {
  if (identity.key_id != 0) {
    TRY_ASSIGN(Identity current, parts_.keys->current(identity.key_id, now_s));
    current.since_s = identity.since_s;
    return current;
  }
  if (!identity.id.starts_with(kUserPrefix)) return identity;
  return current_user(std::string_view(identity.id).substr(kUserPrefix.size()), identity.since_s);
}

}  // namespace cove::auth
