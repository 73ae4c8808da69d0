#include "services/auth/foreign_tokens.h"

#include <algorithm>

#include <fmt/format.h>
#include <boost/json/array.hpp>

#include "base/file.h"
#include "base/log.h"
#include "services/outbound/http_client.h"

namespace cove::auth {
namespace {

constexpr std::string_view kFile = "file://";
constexpr size_t kJwksBytesMax = 1 << 20;

Error refused(std::string message) { return {ErrorCode::kUnauthenticated, std::move(message)}; }

bool is_address(std::string_view url) {
  return url.starts_with(kFile) || url.starts_with("http://") || url.starts_with("https://");
}

Status check(const ForeignIssuer& issuer) {
  if (issuer.issuer.empty()) return invalid_argument("auth.jwt.issuer: say whose tokens are accepted");
  if (issuer.audience.empty()) {
    return invalid_argument(
        "auth.jwt.audience: say for whom tokens must be made out; without it every token of the issuer, for whatever "
        "service, would be accepted");
  }
  if (issuer.jwks_url.empty() && issuer.hs256_secret.empty())
    return invalid_argument("auth.jwt.jwks_url: say where the issuer's keys are (file://, http:// or https://)");
  if (!issuer.jwks_url.empty() && !is_address(issuer.jwks_url))
    return invalid_argument(
        fmt::format("auth.jwt.jwks_url: '{}' is no file://, http:// or https:// address", issuer.jwks_url));
  return {};
}

// "realm_access.roles" in {"realm_access":{"roles":[...]}}. A member that is named so with its dots wins.
const json::value* claim_at(const json::value& claims, std::string_view path) {
  if (const json::value* whole = find_member(claims, path)) return whole;
  const size_t dot = path.find('.');
  if (dot == std::string_view::npos) return nullptr;
  const json::value* inner = find_member(claims, path.substr(0, dot));
  return inner == nullptr ? nullptr : claim_at(*inner, path.substr(dot + 1));
}

}  // namespace

Result<std::string> ForeignTokens::fetch_jwks(const ForeignIssuer& issuer) {
  if (issuer.jwks_url.starts_with(kFile)) return read_file(issuer.jwks_url.substr(kFile.size()), kJwksBytesMax);
  TRY_ASSIGN(outbound::HttpResponse response, outbound::send({.url = issuer.jwks_url,
                                                              .headers = {{"Accept", "application/json"}},
                                                              .ca_file = issuer.ca_file,
                                                              .response_bytes_max = kJwksBytesMax}));
  if (response.status != 200)
    return make_error(ErrorCode::kUnavailable, fmt::format("{}: status {}", issuer.jwks_url, response.status));
  return std::move(response.body);
}

Result<std::unique_ptr<ForeignTokens>> ForeignTokens::create(ForeignIssuer issuer, Fetch fetch) {
  TRY(check(issuer));
  std::unique_ptr<ForeignTokens> tokens(new ForeignTokens(std::move(issuer), std::move(fetch)));
  if (!tokens->issuer_.hs256_secret.empty()) {
    TRY_ASSIGN(VerifyKey key, VerifyKey::from_secret(tokens->issuer_.hs256_secret));
    tokens->secret_ = std::make_shared<const KeySet>(KeySet::of(std::move(key)));
  }
  return tokens;
}

ForeignTokens::Lookup ForeignTokens::look_up(const ParsedToken& token, Clock::time_point now) {
  if (token.algorithm == Algorithm::kHs256) {
    // A secret has no name here: whatever kid the token has is not looked at.
    if (secret_ == nullptr) return {.keys = nullptr, .key = nullptr, .fetch_may_help = false, .have_keys = true};
    return {.keys = secret_,
            .key = secret_->find(std::nullopt, token.algorithm),
            .fetch_may_help = false,
            .have_keys = true};
  }
  const std::lock_guard lock(mutex_);
  Lookup out;
  const bool fresh = fetched_ && now - *fetched_ < issuer_.stale_max;
  out.have_keys = keys_ != nullptr && fresh;
  if (out.have_keys) {
    out.keys = keys_;
    out.key = keys_->find(token.kid, token.algorithm);
  }
  const bool may_fetch = !issuer_.jwks_url.empty() && (!attempted_ || now - *attempted_ >= issuer_.retry_every);
  out.fetch_may_help = out.key == nullptr && may_fetch;
  return out;
}

Result<Identity> ForeignTokens::verify(const ParsedToken& token, int64_t now_s, Waiting waiting,
                                       Clock::time_point now) {
  // What no key could mend is refused before anything is fetched for it.
  TRY(check_claims(token.claims, {.issuer = issuer_.issuer, .audience = issuer_.audience, .leeway_s = issuer_.leeway_s},
                   now_s));
  Lookup found = look_up(token, now);
  if (found.fetch_may_help) {
    if (waiting == Waiting::kNo) return make_error(ErrorCode::kUnavailable, "the issuer's keys must be fetched first");
    const std::lock_guard one(fetching_);
    found = look_up(token, now);  // somebody else may have fetched them meanwhile
    if (found.fetch_may_help) {
      (void)refresh(now);
      found = look_up(token, now);
    }
  }
  if (found.key == nullptr) {
    // Who may not wait is told apart: nothing would be fetched if they waited.
    const auto code = waiting == Waiting::kNo ? ErrorCode::kFailedPrecondition : ErrorCode::kUnavailable;
    if (!found.have_keys) return make_error(code, "the keys of the token's issuer cannot be fetched");
    return refused("the token's issuer has no key that fits it");
  }
  if (!found.key->verify(token.algorithm, token.signed_text, token.signature))
    return refused("the token's signature is not valid");
  return identity_of(token.claims);
}

bool ForeignTokens::wants_refresh(Clock::time_point now) {
  const std::lock_guard lock(mutex_);
  if (issuer_.jwks_url.empty() || !fetched_ || now - *fetched_ < issuer_.refresh_every) return false;
  if (attempted_ && now - *attempted_ < issuer_.retry_every) return false;
  attempted_ = now;
  return true;
}

Status ForeignTokens::refresh(Clock::time_point now) {
  {
    const std::lock_guard lock(mutex_);
    attempted_ = now;
  }
  const auto text = fetch_(issuer_);
  auto keys = text ? KeySet::parse(*text) : Result<KeySet>(text.error());
  if (!keys) {
    log::warn("auth.jwks_unavailable",
              {{"issuer", issuer_.issuer}, {"url", issuer_.jwks_url}, {"error", keys.error().message}});
    return keys.error();
  }
  log::debug("auth.jwks_read", {{"issuer", issuer_.issuer}, {"keys", keys->size()}});
  const std::lock_guard lock(mutex_);
  keys_ = std::make_shared<const KeySet>(std::move(*keys));
  fetched_ = now;
  return {};
}

std::optional<Role> ForeignTokens::role_of(const json::value& claims) const {
  std::optional<Role> best;
  const auto consider = [&](const json::value& value) {
    if (!value.is_string()) return;
    for (const auto& [name, role] : issuer_.role_map) {
      if (value.get_string() == name && (!best || covers(role, *best))) best = role;
    }
  };
  const json::value* claim = claim_at(claims, issuer_.roles_claim);
  if (claim != nullptr) {
    consider(*claim);
    if (claim->is_array()) std::ranges::for_each(claim->get_array(), consider);
  }
  return best ? best : issuer_.default_role;
}

Result<Identity> ForeignTokens::identity_of(const json::value& claims) const {
  const auto role = role_of(claims);
  if (!role) {
    return make_error(ErrorCode::kPermissionDenied,
                      fmt::format("the token's '{}' gives no role here", issuer_.roles_claim));
  }
  const std::string subject = text_claim(claims, "sub");
  std::string name = text_claim(claims, "preferred_username");
  if (name.empty() || name.size() > 200) name = subject;
  return Identity{.key_id = 0,
                  .id = fmt::format("jwt:{}|{}", issuer_.issuer, subject),
                  .name = std::move(name),
                  .role = *role,
                  .since_s = time_claim(claims, "iat").value_or(0)};
}

}  // namespace cove::auth
