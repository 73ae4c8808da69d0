#pragma once
// TLS 1.3 by OpenSSL, behind two plain classes that know neither Asio nor coroutines: TlsContext is a certificate with
// its key, TlsSession one connection over a non-blocking socket. Used by connection.cc; contexts are loaded by apps/.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

struct ssl_st;
struct ssl_ctx_st;

namespace cove::http {

enum class ClientAuth : uint8_t { kOff, kOptional, kRequired };

struct TlsFiles {
  std::string cert;       // PEM: the server's certificate, then its intermediates
  std::string key;        // PEM, without passphrase
  std::string client_ca;  // PEM: who signs client certificates; only with client_auth
  ClientAuth client_auth = ClientAuth::kOff;
};

// Immutable once loaded; any thread. Sessions keep what they need of it alive.
class TlsContext {
 public:
  // Errors: kNotFound, kIo, kInvalidArgument, kFailedPrecondition; they name the file and what to do about it: not
  // readable, readable by everybody, not PEM, expired at `now_s`, key of another certificate.
  static Result<std::shared_ptr<const TlsContext>> load(const TlsFiles& files, int64_t now_s);
  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

  // DNS names and addresses that the certificate is made out for.
  const std::vector<std::string>& names() const { return names_; }
  bool covers(const std::string& host) const;
  bool self_signed() const { return self_signed_; }
  int64_t not_after_s() const { return not_after_s_; }

 private:
  friend class TlsSession;
  explicit TlsContext(ssl_ctx_st* context) : context_(context) {}
  Status use_certificate(const TlsFiles& files, int64_t now_s);
  Status use_key(const TlsFiles& files);
  Status use_client_ca(const TlsFiles& files);

  ssl_ctx_st* context_;
  std::vector<std::string> names_;
  bool self_signed_ = false;
  int64_t not_after_s_ = 0;
};

// How far a non-blocking call came.
enum class IoState : uint8_t { kDone, kWantRead, kWantWrite, kEnd };
struct IoResult {
  IoState state = IoState::kDone;
  size_t bytes = 0;
};

// The server's side of one connection. Borrows the socket. One thread.
class TlsSession {
 public:
  TlsSession(const TlsContext& context, int socket);
  ~TlsSession();
  TlsSession(const TlsSession&) = delete;
  TlsSession& operator=(const TlsSession&) = delete;

  // To be called again after each want until kDone. On kEnd the peer has been sent an alert, and error() says why.
  IoState handshake();
  // kEnd: the peer closed, properly or not, or broke the protocol. `into` of 16 KB takes a whole record.
  IoResult read(std::span<char> into);
  // After a want, to be called again with the same bytes.
  IoResult write(std::string_view bytes);
  // Tells the peer that nothing more comes; does not wait for its answer.
  void close_notify();
  // The verified client certificate's subject as in RFC 2253; empty without one.
  std::string client_subject() const;
  const std::string& error() const { return error_; }

 private:
  IoState state_of(int result);

  ssl_st* session_;
  std::string error_;
  bool broken_ = false;
};

}  // namespace cove::http
