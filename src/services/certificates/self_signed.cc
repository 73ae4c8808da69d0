#include "services/certificates/self_signed.h"

#include <algorithm>
#include <cctype>
#include <memory>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

namespace cove::certificates {
namespace {

template <auto kFree>
struct Free {
  template <typename T>
  void operator()(T* object) const {
    kFree(object);
  }
};
using BioPtr = std::unique_ptr<BIO, Free<BIO_free>>;
using CertPtr = std::unique_ptr<X509, Free<X509_free>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY_free>>;
using ExtensionPtr = std::unique_ptr<X509_EXTENSION, Free<X509_EXTENSION_free>>;

Error failed(std::string_view what) {
  const char* reason = ERR_reason_error_string(ERR_peek_last_error());
  ERR_clear_error();
  return {ErrorCode::kInternal, fmt::format("OpenSSL could not {}: {}", what, reason == nullptr ? "?" : reason)};
}

bool is_address(const std::string& host) {
  unsigned char bytes[16];
  return ::inet_pton(AF_INET, host.c_str(), bytes) == 1 || ::inet_pton(AF_INET6, host.c_str(), bytes) == 1;
}

// Labels of letters, digits, '-' and '_', a leading "*." allowed. Keeps commas and colons, which mean something to
// OpenSSL, out of the extension's text.
bool is_name(std::string_view host) {
  if (host.starts_with("*.")) host.remove_prefix(2);
  if (host.empty() || host.size() > 253 || host.front() == '.' || host.back() == '.') return false;
  return host.find("..") == std::string_view::npos && std::all_of(host.begin(), host.end(), [](unsigned char c) {
           return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.';
         });
}

Status add_extension(X509* certificate, int kind, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
  const ExtensionPtr extension(X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str()));
  if (extension == nullptr || X509_add_ext(certificate, extension.get(), -1) != 1)
    return failed(fmt::format("add '{}' to the certificate", value));
  return {};
}

Result<std::string> alternative_names(const std::vector<std::string>& hosts) {
  std::string out;
  for (const std::string& host : hosts) {
    const bool address = is_address(host);
    if (!address && !is_name(host)) {
      return invalid_argument(
          fmt::format("'{}' is neither a host name nor an IP address; give names such as cove.example.com", host));
    }
    out += fmt::format("{}{}:{}", out.empty() ? "" : ",", address ? "IP" : "DNS", host);
  }
  return out;
}

Status set_identity(X509* certificate, const SelfSignedOptions& options) {
  unsigned char serial[16];
  if (RAND_bytes(serial, sizeof serial) != 1) return failed("draw a serial number");
  serial[0] &= 0x7f;  // positive
  serial[0] |= 0x40;  // and as long as it looks
  const std::unique_ptr<BIGNUM, Free<BN_free>> number(BN_bin2bn(serial, sizeof serial, nullptr));
  BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate));
  X509_set_version(certificate, X509_VERSION_3);
  ASN1_TIME_set(X509_getm_notBefore(certificate), options.not_before_s);
  ASN1_TIME_set(X509_getm_notAfter(certificate), options.not_after_s);
  X509_NAME* subject = X509_get_subject_name(certificate);
  const std::string common = options.hosts.front().substr(0, 64);  // the standard's limit; clients read the SAN
  if (X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(common.c_str()),
                                 -1, -1, 0) != 1) {
    return failed("set the subject");
  }
  X509_set_issuer_name(certificate, subject);
  return {};
}

template <typename Write>
Result<std::string> to_pem(std::string_view what, Write write) {
  const BioPtr memory(BIO_new(BIO_s_mem()));
  if (write(memory.get()) != 1) return failed(fmt::format("write the {}", what));
  char* text = nullptr;
  const long length = BIO_get_mem_data(memory.get(), &text);
  return std::string(text, static_cast<size_t>(std::max(length, 0L)));
}

}  // namespace

Result<CertificateAndKey> make_self_signed(const SelfSignedOptions& options) {
  if (options.hosts.empty()) return invalid_argument("a certificate needs at least one host name or address");
  if (options.not_after_s <= options.not_before_s) return invalid_argument("the certificate would never be valid");
  TRY_ASSIGN(const std::string names, alternative_names(options.hosts));
  const KeyPtr key(EVP_EC_gen("P-256"));
  if (key == nullptr) return failed("make a key");
  const CertPtr certificate(X509_new());
  TRY(set_identity(certificate.get(), options));
  X509_set_pubkey(certificate.get(), key.get());
  TRY(add_extension(certificate.get(), NID_basic_constraints, "critical,CA:FALSE"));
  TRY(add_extension(certificate.get(), NID_key_usage, "critical,digitalSignature"));
  TRY(add_extension(certificate.get(), NID_ext_key_usage, "serverAuth,clientAuth"));
  TRY(add_extension(certificate.get(), NID_subject_alt_name, names));
  TRY(add_extension(certificate.get(), NID_subject_key_identifier, "hash"));
  if (X509_sign(certificate.get(), key.get(), EVP_sha256()) == 0) return failed("sign the certificate");
  CertificateAndKey out;
  TRY_ASSIGN(out.certificate_pem,
             to_pem("certificate", [&](BIO* bio) { return PEM_write_bio_X509(bio, certificate.get()); }));
  TRY_ASSIGN(out.key_pem, to_pem("key", [&](BIO* bio) {
               return PEM_write_bio_PKCS8PrivateKey(bio, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
             }));
  return out;
}

}  // namespace cove::certificates
