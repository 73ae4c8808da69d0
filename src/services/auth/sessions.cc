#include "services/auth/sessions.h"

#include <algorithm>

#include "services/auth/random_token.h"

namespace cove::auth {
namespace {
constexpr size_t kCodeBytes = 18;
constexpr size_t kSessionBytes = 32;
}  // namespace

void Sessions::drop_expired(Entries& entries, Clock::time_point now) {
  std::erase_if(entries, [&](const auto& item) { return item.second.expires <= now; });
}

std::string Sessions::create_code(const Identity& identity, Clock::time_point now) {
  std::string code = random_token(kCodeBytes);
  const std::lock_guard lock(mutex_);
  drop_expired(codes_, now);
  codes_.emplace(sha256(code), Entry{identity, now + options_.code_ttl});
  return code;
}

std::string Sessions::add_session(const Identity& identity, Clock::time_point now) {
  drop_expired(sessions_, now);
  if (sessions_.size() >= options_.sessions_max) {
    sessions_.erase(std::ranges::min_element(sessions_, {}, [](const auto& item) { return item.second.expires; }));
  }
  std::string secret = random_token(kSessionBytes);
  sessions_.emplace(sha256(secret), Entry{identity, now + options_.session_ttl});
  return secret;
}

Result<std::string> Sessions::redeem_code(std::string_view code, Clock::time_point now) {
  const std::lock_guard lock(mutex_);
  drop_expired(codes_, now);
  const auto found = codes_.find(sha256(code));
  if (found == codes_.end()) {
    return Error{ErrorCode::kUnauthenticated, "this sign-in link was used already or is too old"};
  }
  const Identity identity = found->second.identity;
  codes_.erase(found);
  return add_session(identity, now);
}

std::string Sessions::create_session(const Identity& identity, Clock::time_point now) {
  const std::lock_guard lock(mutex_);
  return add_session(identity, now);
}

std::optional<Identity> Sessions::find(std::string_view session, Clock::time_point now) {
  const std::lock_guard lock(mutex_);
  const auto found = sessions_.find(sha256(session));
  if (found == sessions_.end() || found->second.expires <= now) return std::nullopt;
  return found->second.identity;
}

void Sessions::end(std::string_view session) {
  const std::lock_guard lock(mutex_);
  sessions_.erase(sha256(session));
}

size_t Sessions::size() const {
  const std::lock_guard lock(mutex_);
  return sessions_.size();
}

}  // namespace cove::auth
