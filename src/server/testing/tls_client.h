#pragma once
// A TestClient that speaks TLS, and a folder with a self-signed certificate for the server. Header only; tests and
// benches alone include it.

#include <ctime>
#include <filesystem>
#include <fstream>
#include <string>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <sys/stat.h>

#include "server/http/tls.h"
#include "server/testing/test_server.h"
#include "services/certificates/self_signed.h"

namespace cove::server::testing {

// A fresh folder with cert.pem and key.pem; removed at the end.
class TlsFolder {
 public:
  explicit TlsFolder(const std::string& host = "localhost") {
    std::string name = (std::filesystem::temp_directory_path() / "cove-tls-XXXXXX").string();
    EXPECT_NE(::mkdtemp(name.data()), nullptr);
    path = name;
    renew(host);
  }
  ~TlsFolder() { std::filesystem::remove_all(path); }
  TlsFolder(const TlsFolder&) = delete;
  TlsFolder& operator=(const TlsFolder&) = delete;

  void renew(const std::string& host, int64_t from_s = std::time(nullptr) - 60,
             int64_t until_s = std::time(nullptr) + 3600) {
    auto made = certificates::make_self_signed({.hosts = {host}, .not_before_s = from_s, .not_after_s = until_s});
    ASSERT_TRUE(made) << made.error().message;
    write("cert.pem", made->certificate_pem, 0644);
    write("key.pem", made->key_pem, 0600);
  }
  void write(const std::string& name, const std::string& text, mode_t mode) const {
    std::ofstream(file(name), std::ios::trunc) << text;
    ::chmod(file(name).c_str(), mode);
  }
  std::string file(const std::string& name) const { return (path / name).string(); }
  http::TlsFiles files() const { return {.cert = file("cert.pem"), .key = file("key.pem"), .client_ca = {}}; }
  std::shared_ptr<const http::TlsContext> load() const {
    auto context = http::TlsContext::load(files(), std::time(nullptr));
    EXPECT_TRUE(context) << context.error().message;
    return context ? *context : nullptr;
  }

  std::filesystem::path path;
};

struct TlsClientOptions {
  int version = TLS1_3_VERSION;
  std::string certificate{};  // PEM file with certificate and, in `key`, its key
  std::string key{};
  std::string protocols{};  // ALPN, as on the wire
};

class TlsClient final : public TestClient {
 public:
  explicit TlsClient(uint16_t port, const TlsClientOptions& options = {}) : TestClient(port) {
    context_ = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_min_proto_version(context_, options.version);
    SSL_CTX_set_max_proto_version(context_, options.version);
    SSL_CTX_set_mode(context_, SSL_MODE_AUTO_RETRY);
    if (!options.certificate.empty()) {
      SSL_CTX_use_certificate_file(context_, options.certificate.c_str(), SSL_FILETYPE_PEM);
      SSL_CTX_use_PrivateKey_file(context_, options.key.c_str(), SSL_FILETYPE_PEM);
    }
    session_ = SSL_new(context_);
    if (!options.protocols.empty()) {
      SSL_set_alpn_protos(session_, reinterpret_cast<const unsigned char*>(options.protocols.data()),
                          static_cast<unsigned>(options.protocols.size()));
    }
    SSL_set_fd(session_, descriptor());
    secure_ = SSL_connect(session_) == 1;
    note_error();
  }
  ~TlsClient() override {
    SSL_free(session_);
    SSL_CTX_free(context_);
  }

  bool secure() const { return secure_; }
  // The last error's text, such as "tlsv1 alert protocol version".
  const std::string& error() const { return error_; }
  // The peer ended with close_notify.
  bool ended_properly() const { return (SSL_get_shutdown(session_) & SSL_RECEIVED_SHUTDOWN) != 0; }
  SSL* native() { return session_; }
  std::string server_name() const {
    X509* certificate = SSL_get0_peer_certificate(session_);
    char name[256] = {};
    X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name, sizeof name);
    return name;
  }

  bool send(std::string_view bytes) override {
    const bool sent = SSL_write(session_, bytes.data(), static_cast<int>(bytes.size())) > 0;
    note_error();
    return sent;
  }
  bool receive_some(std::chrono::milliseconds limit) override {
    pollfd poller{descriptor(), POLLIN, 0};
    if (SSL_pending(session_) == 0 && ::poll(&poller, 1, static_cast<int>(limit.count())) <= 0) return false;
    char buffer[16384];
    const int got = SSL_read(session_, buffer, sizeof buffer);
    note_error();
    if (got <= 0) return false;
    append(std::string_view(buffer, static_cast<size_t>(got)));
    return true;
  }

 private:
  void note_error() {
    const unsigned long code = ERR_peek_last_error();
    if (code != 0) error_ = ERR_reason_error_string(code);
    ERR_clear_error();
  }

  SSL_CTX* context_;
  SSL* session_;
  bool secure_ = false;
  std::string error_;
};

}  // namespace cove::server::testing
