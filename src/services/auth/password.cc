#include "services/auth/password.h"

#include <algorithm>

#include <fmt/format.h>
#include <sodium.h>

#include "base/check.h"
#include "base/utf8.h"

namespace cove::auth {
namespace {

void ensure_sodium() {
  static const bool kReady = sodium_init() >= 0;
  COVE_CHECK_MSG(kReady, "libsodium found no source of random numbers");
}

}  // namespace

Result<std::string> hash_password(std::string_view password, const PasswordCost& cost) {
  if (password.size() < kPasswordBytesMin || password.size() > kPasswordBytesMax)
    return invalid_argument(fmt::format("a password has {} to {} bytes", kPasswordBytesMin, kPasswordBytesMax));
  if (!is_valid_utf8(password) || password.find('\0') != std::string_view::npos)
    return invalid_argument("a password is text in UTF-8");
  ensure_sodium();
  std::string hash(crypto_pwhash_STRBYTES, '\0');
  if (crypto_pwhash_str_alg(hash.data(), password.data(), password.size(), cost.passes, cost.memory_bytes,
                            crypto_pwhash_ALG_ARGON2ID13) != 0) {
    return make_error(ErrorCode::kResourceExhausted,
                      fmt::format("there are no {} MiB of memory to hash a password", cost.memory_bytes >> 20));
  }
  hash.resize(hash.find('\0'));
  return hash;
}

bool password_matches(std::string_view password, const std::string& hash) {
  if (password.size() > kPasswordBytesMax || !hash.starts_with("$argon2id$") || hash.size() >= crypto_pwhash_STRBYTES)
    return false;
  ensure_sodium();
  return crypto_pwhash_str_verify(hash.c_str(), password.data(), password.size()) == 0;
}

bool needs_rehash(const std::string& hash, const PasswordCost& cost) {
  ensure_sodium();
  return hash.size() >= crypto_pwhash_STRBYTES ||
         crypto_pwhash_str_needs_rehash(hash.c_str(), cost.passes, cost.memory_bytes) != 0;
}

}  // namespace cove::auth
