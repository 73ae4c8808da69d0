#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>

#include <arpa/inet.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/file.h"
#include "server/http/tls.h"

namespace cove::http {
namespace {

constexpr size_t kPemBytesMax = size_t{1} << 20;

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
using NamesPtr = std::unique_ptr<GENERAL_NAMES, Free<GENERAL_NAMES_free>>;

// The newest of OpenSSL's queued errors, in words; empties the queue.
std::string openssl_reason() {
  const unsigned long code = ERR_peek_last_error();
  const char* text = code == 0 ? nullptr : ERR_reason_error_string(code);
  ERR_clear_error();
  return text == nullptr ? "unknown reason" : text;
}

Error bad_file(const char* setting, const std::string& path, std::string_view what) {
  return {ErrorCode::kInvalidArgument, fmt::format("{}: '{}' {}", setting, path, what)};
}

Result<std::string> read_pem(const char* setting, const std::string& path) {
  auto text = read_file(path, kPemBytesMax);
  if (!text) return make_error(text.error().code, fmt::format("{}: {}", setting, text.error().message));
  return text;
}

// Every certificate of a PEM text.
std::vector<CertPtr> parse_certificates(const std::string& pem) {
  std::vector<CertPtr> out;
  const BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  while (X509* certificate = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)) out.emplace_back(certificate);
  ERR_clear_error();
  return out;
}

int64_t seconds_of(const ASN1_TIME* time) {
  std::tm parts{};
  return ASN1_TIME_to_tm(time, &parts) == 1 ? ::timegm(&parts) : 0;
}

std::string day_text(int64_t seconds) {
  return fmt::format("{:%Y-%m-%d %H:%M} UTC", fmt::gmtime(static_cast<std::time_t>(seconds)));
}

std::string address_text(const ASN1_OCTET_STRING* address) {
  char text[INET6_ADDRSTRLEN] = {};
  const int family = ASN1_STRING_length(address) == 4 ? AF_INET : AF_INET6;
  if (family == AF_INET6 && ASN1_STRING_length(address) != 16) return {};
  return ::inet_ntop(family, ASN1_STRING_get0_data(address), text, sizeof text) == nullptr ? "" : text;
}

std::vector<std::string> names_of(X509* certificate) {
  std::vector<std::string> out;
  const NamesPtr names(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type == GEN_DNS) {
      const auto* text = reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.dNSName));
      out.emplace_back(text, static_cast<size_t>(ASN1_STRING_length(name->d.dNSName)));
    } else if (name->type == GEN_IPADD) {
      out.push_back(address_text(name->d.iPAddress));
    }
  }
  return out;
}

// Nobody is there to type a passphrase.
int no_passphrase(char*, int, int, void*) { return 0; }

// A private key that every account can read is no secret.
Status check_key_mode(const std::string& path) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) {
    return make_error(errno == ENOENT ? ErrorCode::kNotFound : ErrorCode::kIo,
                      fmt::format("server.tls.key: {}: {}", path, std::strerror(errno)));
  }
  if ((info.st_mode & S_IRWXO) != 0) {
    return make_error(ErrorCode::kFailedPrecondition,
                      fmt::format("server.tls.key: every account of this machine may open '{}' (mode {:04o}); "
                                  "'chmod 640' it, or set defaultMode: 0440 on a Kubernetes secret",
                                  path, info.st_mode & 07777));
  }
  return {};
}

// HTTP/1.1 is all that is spoken here; a client that offers protocols but not this one is told so by an alert.
int choose_protocol(SSL*, const unsigned char** out, unsigned char* out_length, const unsigned char* offered,
                    unsigned int offered_length, void*) {
  static constexpr unsigned char kHttp11[] = "\x08http/1.1";
  unsigned char* chosen = nullptr;
  const int found = SSL_select_next_proto(&chosen, out_length, kHttp11, sizeof kHttp11 - 1, offered, offered_length);
  *out = chosen;
  return found == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

ssl_ctx_st* new_context() {
  SSL_CTX* context = SSL_CTX_new(TLS_server_method());
  COVE_CHECK(context != nullptr);
  SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET);
  // No resumption: a ticket would outlive the certificate that it was given under, and a withdrawn client certificate.
  // Clients of an API keep their connections; a full handshake costs a fraction of a millisecond.
  SSL_CTX_set_num_tickets(context, 0);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  // Idle connections give their record buffers back: a thousand of them would hold 34 MB.
  SSL_CTX_set_mode(context,
                   SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_alpn_select_cb(context, choose_protocol, nullptr);
  return context;
}

}  // namespace

TlsContext::~TlsContext() { SSL_CTX_free(context_); }

Result<std::shared_ptr<const TlsContext>> TlsContext::load(const TlsFiles& files, int64_t now_s) {
  if (files.cert.empty() || files.key.empty()) {
    return invalid_argument(files.cert.empty() ? "server.tls.key is set but server.tls.cert is not; TLS needs both"
                                               : "server.tls.cert is set but server.tls.key is not; TLS needs both");
  }
  if ((files.client_auth == ClientAuth::kOff) != files.client_ca.empty()) {
    return invalid_argument(
        "server.tls.client_ca and server.tls.client_auth (optional or required) belong together: one says who signs "
        "client certificates, the other whether they are asked for");
  }
  const std::shared_ptr<TlsContext> context(new TlsContext(new_context()));
  TRY(context->use_certificate(files, now_s));
  TRY(context->use_key(files));
  TRY(context->use_client_ca(files));
  return std::shared_ptr<const TlsContext>(context);
}

Status TlsContext::use_certificate(const TlsFiles& files, int64_t now_s) {
  constexpr const char* kSetting = "server.tls.cert";
  TRY_ASSIGN(const std::string pem, read_pem(kSetting, files.cert));
  std::vector<CertPtr> chain = parse_certificates(pem);
  if (chain.empty()) return bad_file(kSetting, files.cert, "holds no PEM certificate");
  X509* own = chain.front().get();
  not_after_s_ = seconds_of(X509_get0_notAfter(own));
  const int64_t not_before_s = seconds_of(X509_get0_notBefore(own));
  if (not_after_s_ <= now_s) {
    return bad_file(kSetting, files.cert,
                    fmt::format("expired on {}; no client would accept it: renew it", day_text(not_after_s_)));
  }
  if (not_before_s > now_s) {
    return bad_file(kSetting, files.cert,
                    fmt::format("is valid only from {}; check the clock", day_text(not_before_s)));
  }
  names_ = names_of(own);
  self_signed_ = X509_NAME_cmp(X509_get_subject_name(own), X509_get_issuer_name(own)) == 0;
  if (SSL_CTX_use_certificate(context_, own) != 1)
    return bad_file(kSetting, files.cert, "cannot be used: " + openssl_reason());
  for (size_t i = 1; i < chain.size(); ++i) {
    if (SSL_CTX_add1_chain_cert(context_, chain[i].get()) != 1)
      return bad_file(kSetting, files.cert, fmt::format("certificate {} of its chain: {}", i + 1, openssl_reason()));
  }
  return {};
}

Status TlsContext::use_key(const TlsFiles& files) {
  constexpr const char* kSetting = "server.tls.key";
  TRY(check_key_mode(files.key));
  TRY_ASSIGN(std::string pem, read_pem(kSetting, files.key));
  const BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  const KeyPtr key(PEM_read_bio_PrivateKey(bio.get(), nullptr, no_passphrase, nullptr));
  const bool locked = pem.find("ENCRYPTED") != std::string::npos;
  OPENSSL_cleanse(pem.data(), pem.size());
  if (key == nullptr) {
    ERR_clear_error();
    return bad_file(kSetting, files.key,
                    locked ? "is locked with a passphrase, which nobody can type here; store it without: openssl pkey"
                           : "holds no PEM private key");
  }
  X509* own = SSL_CTX_get0_certificate(context_);
  if (X509_check_private_key(own, key.get()) != 1) {
    ERR_clear_error();
    return bad_file(kSetting, files.key, fmt::format("is not the key of the certificate '{}'", files.cert));
  }
  if (SSL_CTX_use_PrivateKey(context_, key.get()) != 1)
    return bad_file(kSetting, files.key, "cannot be used: " + openssl_reason());
  return {};
}

Status TlsContext::use_client_ca(const TlsFiles& files) {
  if (files.client_auth == ClientAuth::kOff) return {};
  constexpr const char* kSetting = "server.tls.client_ca";
  TRY_ASSIGN(const std::string pem, read_pem(kSetting, files.client_ca));
  const std::vector<CertPtr> authorities = parse_certificates(pem);
  if (authorities.empty()) return bad_file(kSetting, files.client_ca, "holds no PEM certificate");
  for (const CertPtr& authority : authorities) {
    X509_STORE_add_cert(SSL_CTX_get_cert_store(context_), authority.get());
    SSL_CTX_add_client_CA(context_, authority.get());
  }
  ERR_clear_error();
  const bool required = files.client_auth == ClientAuth::kRequired;
  SSL_CTX_set_verify(context_, SSL_VERIFY_PEER | (required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), nullptr);
  return {};
}

bool TlsContext::covers(const std::string& host) const {
  X509* own = SSL_CTX_get0_certificate(context_);
  return X509_check_ip_asc(own, host.c_str(), 0) == 1 ||
         X509_check_host(own, host.data(), host.size(), 0, nullptr) == 1;
}

}  // namespace cove::http
