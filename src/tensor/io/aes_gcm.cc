#include "tensor/io/aes_gcm.h"

#include <climits>
#include <memory>

#include <openssl/evp.h>

namespace cove {
namespace {

using Context = std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)>;

bool fits_int(std::span<const unsigned char> bytes) { return bytes.size() <= INT_MAX; }

}  // namespace

bool gcm_encrypt(GcmKey key, const GcmNonce& nonce, std::span<const unsigned char> associated,
                 std::span<const unsigned char> in, unsigned char* out, unsigned char* tag) {
  const Context context(EVP_CIPHER_CTX_new(), &EVP_CIPHER_CTX_free);
  int length = 0;
  return context && fits_int(associated) && fits_int(in) &&
         EVP_EncryptInit_ex(context.get(), EVP_aes_256_gcm(), nullptr, key.data(), nonce.data()) == 1 &&
         EVP_EncryptUpdate(context.get(), nullptr, &length, associated.data(), static_cast<int>(associated.size())) ==
             1 &&
         (in.empty() || EVP_EncryptUpdate(context.get(), out, &length, in.data(), static_cast<int>(in.size())) == 1) &&
         EVP_EncryptFinal_ex(context.get(), tag, &length) == 1 &&
         EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_GET_TAG, kGcmTagBytes, tag) == 1;
}

bool gcm_decrypt(GcmKey key, const GcmNonce& nonce, std::span<const unsigned char> associated,
                 std::span<const unsigned char> in, const unsigned char* tag, unsigned char* out) {
  const Context context(EVP_CIPHER_CTX_new(), &EVP_CIPHER_CTX_free);
  int length = 0;
  unsigned char rest[kGcmTagBytes];
  return context && fits_int(associated) && fits_int(in) &&
         EVP_DecryptInit_ex(context.get(), EVP_aes_256_gcm(), nullptr, key.data(), nonce.data()) == 1 &&
         EVP_DecryptUpdate(context.get(), nullptr, &length, associated.data(), static_cast<int>(associated.size())) ==
             1 &&
         (in.empty() || EVP_DecryptUpdate(context.get(), out, &length, in.data(), static_cast<int>(in.size())) == 1) &&
         EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_SET_TAG, kGcmTagBytes, const_cast<unsigned char*>(tag)) == 1 &&
         EVP_DecryptFinal_ex(context.get(), rest, &length) == 1;
}

}  // namespace cove
