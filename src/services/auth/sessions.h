#pragma once
// Sign-in of the web page: a one-time code (printed by `cove serve`) or an API key becomes a session, known by the
// random value of a cookie. Sessions live in memory: a restart ends them. Any thread.

#include <chrono>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "services/auth/identity.h"

namespace cove::auth {

struct SessionOptions {
  std::chrono::seconds code_ttl = std::chrono::minutes(15);
  std::chrono::seconds session_ttl = std::chrono::hours(12);
  size_t sessions_max = 10'000;  // the oldest one ends when there are more
};

class Sessions {
 public:
  using Clock = std::chrono::steady_clock;

  explicit Sessions(const SessionOptions& options = {}) : options_(options) {}

  // A code that signs in as `identity` once.
  std::string create_code(const Identity& identity, Clock::time_point now = Clock::now());
  // The session's cookie value. Errors: kUnauthenticated when the code is unknown, used or too old.
  Result<std::string> redeem_code(std::string_view code, Clock::time_point now = Clock::now());
  std::string create_session(const Identity& identity, Clock::time_point now = Clock::now());
  std::optional<Identity> find(std::string_view session, Clock::time_point now = Clock::now());
  void end(std::string_view session);
  size_t size() const;

 private:
  struct Entry {
    Identity identity;
    Clock::time_point expires;
  };
  using Entries =
      std::map<std::string, Entry, std::less<>>;  // key: SHA-256 of the secret, so that look-ups leak nothing of it
  static void drop_expired(Entries& entries, Clock::time_point now);
  std::string add_session(const Identity& identity, Clock::time_point now);

  SessionOptions options_;
  mutable std::mutex mutex_;  // guards both maps
  Entries codes_;
  Entries sessions_;
};

}  // namespace cove::auth
