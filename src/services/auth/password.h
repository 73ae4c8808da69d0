#pragma once
// Passwords as Argon2id hashes (libsodium): slow and memory-hungry on purpose, 64 MiB and about a tenth of a second a
// check. Never on the I/O thread. Any thread.

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace cove::auth {

struct PasswordCost {
  uint64_t passes = 2;
  size_t memory_bytes = size_t{64} << 20;
};

inline constexpr size_t kPasswordBytesMin = 10;
inline constexpr size_t kPasswordBytesMax = 1024;

// "$argon2id$v=19$m=65536,t=2,p=1$salt$hash". Errors: kInvalidArgument (too short, too long, not UTF-8),
// kResourceExhausted (no memory).
Result<std::string> hash_password(std::string_view password, const PasswordCost& cost = {});
// False for a wrong password and for what is no hash.
bool password_matches(std::string_view password, const std::string& hash);
// Whether `hash` was made at another cost.
bool needs_rehash(const std::string& hash, const PasswordCost& cost = {});

}  // namespace cove::auth
