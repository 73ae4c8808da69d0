#pragma once
// Tokens of another issuer, such as Keycloak: checked by issuer, audience and the keys it publishes (a JWKS at a
// file://, http:// or https:// address), kept and fetched anew when they are old or a token names a key that is not
// among them. HS256 is accepted only with a secret of our own configuration, never with anything from the JWKS.

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "services/auth/identity.h"
#include "services/auth/jwt.h"

namespace cove::auth {

struct ForeignIssuer {
  std::string issuer{};                                  // `iss`, exactly
  std::string audience{};                                // must be (one of) `aud`
  std::string jwks_url{};                                // empty with a secret
  std::string hs256_secret{};                            // empty = HS256 is refused
  std::string ca_file{};                                 // PEM, for https; empty = the system's
  std::string roles_claim = "realm_access.roles";        // dots lead into objects; a text or a list of texts
  std::vector<std::pair<std::string, Role>> role_map{};  // a value of that claim and the role it gives
  std::optional<Role> default_role = Role::kUser;        // when none matches; nullopt = refused
  int64_t leeway_s = 60;
  std::chrono::seconds refresh_every{300};
  std::chrono::seconds retry_every{10};    // between two fetches, whatever tokens ask for
  std::chrono::seconds stale_max{86'400};  // keys older than this are not believed any more
};

// May the caller wait for the network?
enum class Waiting : uint8_t { kNo, kAllowed };

class ForeignTokens {
 public:
  using Clock = std::chrono::steady_clock;
  using Fetch = std::function<Result<std::string>(const ForeignIssuer& issuer)>;

  // Errors: kInvalidArgument for a configuration that would trust too much or nothing.
  static Result<std::unique_ptr<ForeignTokens>> create(ForeignIssuer issuer, Fetch fetch = fetch_jwks);

  const std::string& issuer() const { return issuer_.issuer; }
  // Errors: kUnauthenticated; kPermissionDenied (valid, but no role matches); kUnavailable: with Waiting::kNo the keys
  // must be fetched first, so ask again with kAllowed; with kAllowed they could not be.
  Result<Identity> verify(const ParsedToken& token, int64_t now_s, Waiting waiting,
                          Clock::time_point now = Clock::now());
  // Whether a refresh in the background is due; true once, until refresh() was called or retry_every has passed.
  bool wants_refresh(Clock::time_point now = Clock::now());
  // Fetches the keys; blocks. The earlier ones stay when it fails. Errors: kUnavailable, kInvalidArgument.
  Status refresh(Clock::time_point now = Clock::now());

  // file://, http://, https://.
  static Result<std::string> fetch_jwks(const ForeignIssuer& issuer);

 private:
  explicit ForeignTokens(ForeignIssuer issuer, Fetch fetch) : issuer_(std::move(issuer)), fetch_(std::move(fetch)) {}
  // The key for a token, if it is known; whether a fetch might find it.
  struct Lookup {
    std::shared_ptr<const KeySet> keys;  // keeps `key` alive
    const VerifyKey* key = nullptr;
    bool fetch_may_help = false;
    bool have_keys = false;
  };
  Lookup look_up(const ParsedToken& token, Clock::time_point now);
  Result<Identity> identity_of(const json::value& claims) const;
  std::optional<Role> role_of(const json::value& claims) const;

  ForeignIssuer issuer_;
  Fetch fetch_;
  std::shared_ptr<const KeySet> secret_;
  std::mutex fetching_;  // one fetch at a time; taken before mutex_, and held while the network is waited for
  std::mutex mutex_;     // guards the rest
  std::shared_ptr<const KeySet> keys_;
  std::optional<Clock::time_point> fetched_;
  std::optional<Clock::time_point> attempted_;
};

}  // namespace cove::auth
