#include <algorithm>
#include <cerrno>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/socket.h>

#include "base/check.h"
#include "server/http/tls.h"

namespace cove::http {
namespace {

// OpenSSL's own socket BIO uses write(), which raises SIGPIPE when the peer is gone; this one does not.
int socket_of(BIO* bio) { return static_cast<int>(reinterpret_cast<intptr_t>(BIO_get_data(bio))); }

bool would_block() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

int bio_write(BIO* bio, const char* bytes, int count) {
  BIO_clear_retry_flags(bio);
  const ssize_t sent = ::send(socket_of(bio), bytes, static_cast<size_t>(count), MSG_NOSIGNAL);
  if (sent < 0 && would_block()) BIO_set_retry_write(bio);
  return static_cast<int>(sent);
}

int bio_read(BIO* bio, char* into, int count) {
  BIO_clear_retry_flags(bio);
  const ssize_t got = ::recv(socket_of(bio), into, static_cast<size_t>(count), 0);
  if (got < 0 && would_block()) BIO_set_retry_read(bio);
  if (got == 0) BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
  return static_cast<int>(got);
}

long bio_control(BIO* bio, int command, long, void*) {
  if (command == BIO_CTRL_FLUSH) return 1;
  if (command == BIO_CTRL_EOF) return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0 ? 1 : 0;
  return 0;
}

BIO_METHOD* new_bio_method() {
  BIO_METHOD* method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "cove socket");
  COVE_CHECK(method != nullptr);
  BIO_meth_set_write(method, bio_write);
  BIO_meth_set_read(method, bio_read);
  BIO_meth_set_ctrl(method, bio_control);
  return method;
}

BIO* socket_bio(int socket) {
  static BIO_METHOD* const kMethod = new_bio_method();
  BIO* bio = BIO_new(kMethod);
  COVE_CHECK(bio != nullptr);
  BIO_set_data(bio, reinterpret_cast<void*>(static_cast<intptr_t>(socket)));
  BIO_set_init(bio, 1);
  return bio;
}

}  // namespace

TlsSession::TlsSession(const TlsContext& context, int socket) : session_(SSL_new(context.context_)) {
  COVE_CHECK(session_ != nullptr);
  BIO* bio = socket_bio(socket);
  SSL_set_bio(session_, bio, bio);
  SSL_set_accept_state(session_);
}

TlsSession::~TlsSession() { SSL_free(session_); }

IoState TlsSession::state_of(int result) {
  switch (SSL_get_error(session_, result)) {
    case SSL_ERROR_NONE: return IoState::kDone;
    case SSL_ERROR_WANT_READ: return IoState::kWantRead;
    case SSL_ERROR_WANT_WRITE: return IoState::kWantWrite;
    case SSL_ERROR_ZERO_RETURN: return IoState::kEnd;
    default: break;
  }
  broken_ = true;
  const unsigned long code = ERR_peek_error();
  const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  error_ = reason == nullptr ? "the client closed the connection" : reason;
  const long verified = SSL_get_verify_result(session_);
  if (verified != X509_V_OK) error_ += std::string(": ") + X509_verify_cert_error_string(verified);
  ERR_clear_error();
  return IoState::kEnd;
}

IoState TlsSession::handshake() {
  ERR_clear_error();
  return state_of(SSL_do_handshake(session_));
}

IoResult TlsSession::read(std::span<char> into) {
  if (broken_) return {IoState::kEnd, 0};
  ERR_clear_error();
  size_t got = 0;
  const int result = SSL_read_ex(session_, into.data(), into.size(), &got);
  return {state_of(result), got};
}

IoResult TlsSession::write(std::string_view bytes) {
  if (broken_) return {IoState::kEnd, 0};
  ERR_clear_error();
  size_t sent = 0;
  const int result = SSL_write_ex(session_, bytes.data(), bytes.size(), &sent);
  return {state_of(result), sent};
}

void TlsSession::close_notify() {
  // After a fatal error the protocol forbids it, and so does OpenSSL.
  if (broken_ || SSL_in_init(session_) != 0) return;
  SSL_shutdown(session_);
  ERR_clear_error();
}

std::string TlsSession::client_subject() const {
  X509* certificate = SSL_get0_peer_certificate(session_);
  if (certificate == nullptr || SSL_get_verify_result(session_) != X509_V_OK) return {};
  BIO* memory = BIO_new(BIO_s_mem());
  COVE_CHECK(memory != nullptr);
  X509_NAME_print_ex(memory, X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253);
  char* text = nullptr;
  const long length = BIO_get_mem_data(memory, &text);
  std::string subject(text, static_cast<size_t>(std::max(length, 0L)));
  BIO_free(memory);
  return subject;
}

}  // namespace cove::http
