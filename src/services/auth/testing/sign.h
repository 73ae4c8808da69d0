#pragma once
// Makes keys and signs tokens as a foreign issuer does, and as an attacker does. Header only; tests alone include it.

#include <memory>
#include <string>
#include <string_view>

#include <gtest/gtest.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <boost/json.hpp>

#include "services/auth/base64url.h"
#include "services/auth/verify_key.h"

namespace cove::auth::testing {

class TestKey {
 public:
  static TestKey rsa(std::string kid, unsigned bits = 2048) { return TestKey(std::move(kid), EVP_RSA_gen(bits), {}); }
  static TestKey ec(std::string kid, const char* curve) { return TestKey(std::move(kid), EVP_EC_gen(curve), {}); }
  static TestKey secret(std::string kid, std::string bytes) {
    return TestKey(std::move(kid), nullptr, std::move(bytes));
  }

  const std::string& kid() const { return kid_; }
  json::object jwk() const {
    if (EVP_PKEY_is_a(key_.get(), "RSA") == 1) {
      return {
          {"kty", "RSA"}, {"kid", kid_}, {"n", number(OSSL_PKEY_PARAM_RSA_N)}, {"e", number(OSSL_PKEY_PARAM_RSA_E)}};
    }
    unsigned char* point = nullptr;
    const size_t size = EVP_PKEY_get1_encoded_public_key(key_.get(), &point);
    const std::string bytes(reinterpret_cast<const char*>(point), size);
    OPENSSL_free(point);
    const size_t width = (size - 1) / 2;
    return {{"kty", "EC"},
            {"kid", kid_},
            {"crv", width == 32 ? "P-256" : "P-384"},
            {"x", base64url_encode(bytes.substr(1, width))},
            {"y", base64url_encode(bytes.substr(1 + width))}};
  }
  std::string public_pem() const {
    BIO* bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PUBKEY(bio, key_.get());
    char* data = nullptr;
    const long size = BIO_get_mem_data(bio, &data);
    std::string pem(data, static_cast<size_t>(size));
    BIO_free(bio);
    return pem;
  }
  std::string public_der() const {
    unsigned char* der = nullptr;
    const int size = i2d_PUBKEY(key_.get(), &der);
    std::string out(reinterpret_cast<const char*>(der), static_cast<size_t>(size));
    OPENSSL_free(der);
    return out;
  }
  std::string sign(std::string_view alg, std::string_view text) const {
    const auto* bytes = reinterpret_cast<const unsigned char*>(text.data());
    const EVP_MD* digest = alg.ends_with("512") ? EVP_sha512() : alg.ends_with("384") ? EVP_sha384() : EVP_sha256();
    if (key_ == nullptr) {
      unsigned char mac[EVP_MAX_MD_SIZE];
      unsigned size = 0;
      HMAC(digest, secret_.data(), static_cast<int>(secret_.size()), bytes, text.size(), mac, &size);
      return {reinterpret_cast<const char*>(mac), size};
    }
    EVP_MD_CTX* context = EVP_MD_CTX_new();
    EVP_PKEY_CTX* options = nullptr;
    EXPECT_EQ(EVP_DigestSignInit(context, &options, digest, nullptr, key_.get()), 1);
    if (alg.starts_with("PS")) {
      EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING);
      EVP_PKEY_CTX_set_rsa_pss_saltlen(options, RSA_PSS_SALTLEN_DIGEST);
    }
    size_t size = 0;
    EVP_DigestSign(context, nullptr, &size, bytes, text.size());
    std::string signature(size, '\0');
    EXPECT_EQ(EVP_DigestSign(context, reinterpret_cast<unsigned char*>(signature.data()), &size, bytes, text.size()),
              1);
    EVP_MD_CTX_free(context);
    signature.resize(size);
    return alg.starts_with("ES") ? *ecdsa_from_der(signature, alg == "ES384" ? 48 : 32) : signature;
  }

 private:
  TestKey(std::string kid, EVP_PKEY* key, std::string secret)
      : kid_(std::move(kid)), key_(key, [](EVP_PKEY* k) { EVP_PKEY_free(k); }), secret_(std::move(secret)) {}
  std::string number(const char* name) const {
    BIGNUM* value = nullptr;
    EVP_PKEY_get_bn_param(key_.get(), name, &value);
    std::string bytes(static_cast<size_t>(BN_num_bytes(value)), '\0');
    BN_bn2bin(value, reinterpret_cast<unsigned char*>(bytes.data()));
    BN_free(value);
    return base64url_encode(bytes);
  }

  std::string kid_;
  std::shared_ptr<EVP_PKEY> key_;
  std::string secret_;
};

// Signed with `alg`; `header` replaces members of the usual header, null takes one away.
inline std::string make_token(const TestKey& key, std::string_view alg, const json::object& claims,
                              const json::object& header = {}) {
  json::object all{{"alg", alg}, {"typ", "JWT"}, {"kid", key.kid()}};
  for (const auto& member : header) {
    if (member.value().is_null()) {
      all.erase(member.key());
    } else {
      all[member.key()] = member.value();
    }
  }
  const std::string text = base64url_encode(json::serialize(all)) + "." + base64url_encode(json::serialize(claims));
  return text + "." + base64url_encode(key.sign(alg, text));
}

}  // namespace cove::auth::testing
