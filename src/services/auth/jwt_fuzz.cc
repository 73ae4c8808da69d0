// Tokens of any bytes, and JWKS of any bytes: an answer or an error, never a crash; nothing unsigned is ever accepted.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "services/auth/foreign_tokens.h"
#include "services/auth/jwt.h"

namespace {

constexpr std::string_view kJwks =
    R"({"keys":[{"kty":"EC","crv":"P-256","kid":"a","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",)"
    R"("y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]})";

void check_token(std::string_view token) {
  const auto parsed = cove::auth::parse_token(token);
  if (!parsed) {
    if (parsed.error().message.empty()) std::abort();
    return;
  }
  if (!parsed->claims.is_object() || parsed->signature.empty()) std::abort();
  static const auto kForeign = *cove::auth::ForeignTokens::create(
      {.issuer = "i", .audience = "a", .jwks_url = "https://x"},
      [](const cove::auth::ForeignIssuer&) -> cove::Result<std::string> { return std::string(kJwks); });
  const bool accepted = kForeign->verify(*parsed, 1'800'000'000, cove::auth::Waiting::kAllowed).has_value();
  // The private half of that key is not in the corpus, and nobody guesses a signature.
  if (accepted) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  check_token(text);
  if (const auto set = cove::auth::KeySet::parse(text); set && set->size() == 0) std::abort();
  return 0;
}
