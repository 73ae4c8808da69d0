#pragma once
// AES-256-GCM through OpenSSL's EVP, for sealed files alone.

#include <array>
#include <cstddef>
#include <span>

namespace cove {

inline constexpr size_t kGcmTagBytes = 16;
using GcmKey = std::span<const unsigned char, 32>;
using GcmNonce = std::array<unsigned char, 12>;

// out: as long as in; tag: 16 bytes. False only when OpenSSL fails.
bool gcm_encrypt(GcmKey key, const GcmNonce& nonce, std::span<const unsigned char> associated,
                 std::span<const unsigned char> in, unsigned char* out, unsigned char* tag);
// False when the tag does not fit: `out` then holds nothing to be used.
bool gcm_decrypt(GcmKey key, const GcmNonce& nonce, std::span<const unsigned char> associated,
                 std::span<const unsigned char> in, const unsigned char* tag, unsigned char* out);

}  // namespace cove
