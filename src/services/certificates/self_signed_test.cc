#include "services/certificates/self_signed.h"

#include <gtest/gtest.h>
#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

namespace cove::certificates {
namespace {

X509* parse(const std::string& pem) {
  BIO* bio = BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
  X509* certificate = PEM_read_bio_X509(bio, nullptr, nullptr, nullptr);
  BIO_free(bio);
  return certificate;
}

TEST(SelfSigned, covers_its_names_and_addresses_and_nothing_else) {
  const auto made = make_self_signed({.hosts = {"cove.example", "*.b.example", "10.0.0.1", "::1"},
                                      .not_before_s = 1'000'000,
                                      .not_after_s = 2'000'000});
  ASSERT_TRUE(made) << made.error().message;
  X509* certificate = parse(made->certificate_pem);
  ASSERT_NE(certificate, nullptr);
  for (const char* name : {"cove.example", "x.b.example"})
    EXPECT_EQ(X509_check_host(certificate, name, 0, 0, nullptr), 1) << name;
  EXPECT_EQ(X509_check_host(certificate, "other.example", 0, 0, nullptr), 0);
  EXPECT_EQ(X509_check_ip_asc(certificate, "10.0.0.1", 0), 1);
  EXPECT_EQ(X509_check_ip_asc(certificate, "::1", 0), 1);
  EXPECT_EQ(X509_check_ip_asc(certificate, "10.0.0.2", 0), 0);
  EXPECT_EQ(X509_verify(certificate, X509_get0_pubkey(certificate)), 1);
  EXPECT_EQ(X509_check_ca(certificate), 0) << "it must not sign for others";
  X509_free(certificate);
  EXPECT_NE(made->key_pem.find("BEGIN PRIVATE KEY"), std::string::npos);
}

TEST(SelfSigned, two_are_never_alike) {
  const SelfSignedOptions options{.hosts = {"a"}, .not_before_s = 1, .not_after_s = 2};
  EXPECT_NE(make_self_signed(options)->key_pem, make_self_signed(options)->key_pem);
}

TEST(SelfSigned, refuses_what_is_no_host) {
  for (const char* host : {"", "a b", "a,DNS:evil", "http://x", "a..b", ".a", "*", "a.*.b", "1.2.3.4/8"}) {
    const auto made = make_self_signed({.hosts = {host}, .not_before_s = 1, .not_after_s = 2});
    EXPECT_FALSE(made) << host;
  }
  EXPECT_FALSE(make_self_signed({.hosts = {}, .not_before_s = 1, .not_after_s = 2}));
  EXPECT_FALSE(make_self_signed({.hosts = {"a"}, .not_before_s = 2, .not_after_s = 2}));
}

}  // namespace
}  // namespace cove::certificates
