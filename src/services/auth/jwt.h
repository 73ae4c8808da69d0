#pragma once
// JSON Web Tokens in compact form (RFC 7519, 7515) with the strictness of RFC 8725. Parsing checks shape only: nothing
// of a parsed token may be believed before its signature was checked with a key that was found without the token's
// help. `jwk`, `jku`, `x5u` and `x5c` of the header are never looked at; `crit` is refused.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"
#include "services/auth/verify_key.h"

namespace cove::auth {

inline constexpr size_t kTokenBytesMax = 16 << 10;

struct ParsedToken {
  Algorithm algorithm = Algorithm::kEs256;
  std::optional<std::string> kid;
  json::value claims;            // an object, every member once
  std::string_view signed_text;  // of the token that was parsed: it must live as long
  std::string signature;
};

// Whether a credential is meant as a JWT rather than an API key: three parts.
bool looks_like_token(std::string_view credential);
// Errors: kUnauthenticated saying what is wrong.
Result<ParsedToken> parse_token(std::string_view token);
// The unverified issuer: only to choose among the issuers that are known. Empty when there is none.
std::string token_issuer(const ParsedToken& token);

struct ClaimRules {
  std::string issuer;
  std::string audience;
  int64_t leeway_s = 60;
};
// Issuer, audience, expiry (required), not-before, issued-at, subject. Errors: kUnauthenticated saying which.
Status check_claims(const json::value& claims, const ClaimRules& rules, int64_t now_s);

// A claim that is a string; empty otherwise.
std::string text_claim(const json::value& claims, std::string_view name);
// A claim that is a number of seconds, whole or not.
std::optional<int64_t> time_claim(const json::value& claims, std::string_view name);

}  // namespace cove::auth
