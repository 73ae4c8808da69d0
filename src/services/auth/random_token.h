#pragma once
// Secrets from the operating system's random numbers (libsodium), and their hashes.

#include <cstddef>
#include <string>
#include <string_view>

namespace cove::auth {

// `bytes` random bytes as base64url without padding.
std::string random_token(size_t bytes);
// 32 bytes.
std::string sha256(std::string_view text);
// In time that depends on the lengths only.
bool equal_secrets(std::string_view a, std::string_view b);

}  // namespace cove::auth
