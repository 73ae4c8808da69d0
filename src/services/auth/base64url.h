#pragma once
// Base64url without padding (RFC 7515), as JWTs write bytes.

#include <optional>
#include <string>
#include <string_view>

namespace cove::auth {

std::string base64url_encode(std::string_view bytes);
// Strict: nothing for padding, foreign characters, a length that cannot be, or bits left over that are not zero, so
// that every value has exactly one spelling.
std::optional<std::string> base64url_decode(std::string_view text);

// The ordinary alphabet with padding, as HTTP's Basic authentication writes it; as strict.
std::optional<std::string> base64_decode(std::string_view text);

}  // namespace cove::auth
