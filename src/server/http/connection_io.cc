// How a connection moves bytes, plain or through TLS, and how it begins and ends.
#include <algorithm>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "server/http/connection.h"

namespace cove::http {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

constexpr auto kQuiet = asio::as_tuple(asio::use_awaitable);  // errors as values

IoResult result_of(const error_code& error, size_t bytes, IoState wanted) {
  if (!error) return {IoState::kDone, bytes};
  return {error == asio::error::would_block ? wanted : IoState::kEnd, bytes};
}

}  // namespace

// Into core_->scratch, which is larger than a TLS record: nothing stays behind in the session unseen by the kernel.
// A closed socket's number may belong to another connection already, and the session would not know.
IoResult Connection::read_some() {
  if (!socket_.is_open()) return {IoState::kEnd, 0};
  if (tls_) return tls_->read(core_->scratch);
  error_code error;
  const size_t got = socket_.read_some(asio::buffer(core_->scratch), error);
  return result_of(error, got, IoState::kWantRead);
}

IoResult Connection::write_some(std::string_view bytes) {
  if (!socket_.is_open()) return {IoState::kEnd, 0};
  if (tls_) return tls_->write(bytes);
  error_code error;
  const size_t sent = socket_.write_some(asio::buffer(bytes), error);
  return result_of(error, sent, IoState::kWantWrite);
}

asio::awaitable<bool> Connection::write_all(std::string bytes) {
  size_t done = 0;
  while (done < bytes.size()) {
    const IoResult sent = write_some(std::string_view(bytes).substr(done));
    done += sent.bytes;
    if (sent.state == IoState::kDone) continue;
    // TLS 1.3 never has to read before it may write.
    if (sent.state != IoState::kWantWrite) co_return false;
    write_timer_.expires_after(core_->options.write_timeout);
    write_timer_.async_wait([self = shared_from_this()](const error_code& cancelled) {
      if (!cancelled) self->close();
    });
    const auto [wait_error] = co_await socket_.async_wait(Socket::wait_write, kQuiet);
    write_timer_.cancel();
    if (wait_error || !socket_.is_open()) co_return false;
  }
  co_return true;
}

void Connection::close() {
  const bool cut_off = exchange_ != nullptr && !exchange_->finished();
  if (tls_ && socket_.is_open() && !cut_off) tls_->close_notify();
  error_code ignored;
  socket_.close(ignored);
  eof_ = true;
  if (exchange_) exchange_->abort("the connection was closed");
  end_handshake();
  gate_.cancel();
  write_timer_.cancel();
  event_.cancel();
}

// Peers that connect and then dawdle must not keep others out: one more than fit drops the one that dawdles longest.
void Connection::begin_handshake() {
  core_->handshakes.push_back(this);
  handshake_ = std::prev(core_->handshakes.end());
  if (core_->handshakes.size() > core_->options.handshakes_max) core_->handshakes.front()->close();
}

void Connection::end_handshake() {
  if (handshake_) core_->handshakes.erase(*handshake_);
  handshake_.reset();
}

// True when the connection is ready for HTTP.
asio::awaitable<bool> Connection::secure() {
  if (!tls_) co_return true;
  begin_handshake();
  write_timer_.expires_after(core_->options.handshake_timeout);
  write_timer_.async_wait([self = shared_from_this()](const error_code& cancelled) {
    if (!cancelled && self->handshake_) self->close();
  });
  HandshakeReport report = co_await shake_hands();
  using Result = HandshakeReport::Result;
  const bool late = Clock::now() >= write_timer_.expiry() && !socket_.is_open();
  if (late) report = {Result::kTimeout, "the client took too long"};
  if (!late && !handshake_) report = {Result::kCrowdedOut, "too many handshakes at once"};
  write_timer_.cancel();
  end_handshake();
  core_->handler->handshake_ended(peer_, report);
  if (report.result == Result::kPlainHttp) {
    tls_.reset();
    co_await refuse_all(400, "this port speaks HTTPS only: use https:// in the address");
  }
  co_return report.result == Result::kDone;
}

asio::awaitable<HandshakeReport> Connection::shake_hands() {
  using Result = HandshakeReport::Result;
  if (co_await speaks_plain_http()) co_return HandshakeReport{Result::kPlainHttp, "the client spoke plain HTTP"};
  while (socket_.is_open()) {
    const IoState state = tls_->handshake();
    if (state == IoState::kDone) {
      client_subject_ = tls_->client_subject();
      co_return HandshakeReport{};
    }
    if (state == IoState::kEnd) break;
    co_await socket_.async_wait(state == IoState::kWantRead ? Socket::wait_read : Socket::wait_write, kQuiet);
  }
  co_return HandshakeReport{Result::kFailed, tls_->error()};
}

// Looks at the first byte without taking it: a TLS record begins with 22, a request line with a letter.
asio::awaitable<bool> Connection::speaks_plain_http() {
  while (socket_.is_open()) {
    const auto [wait_error] = co_await socket_.async_wait(Socket::wait_read, kQuiet);
    if (wait_error) break;
    char first = 0;
    error_code error;
    const size_t got = socket_.receive(asio::buffer(&first, 1), Socket::message_peek, error);
    if (error == asio::error::would_block) continue;
    co_return got == 1 && first >= 'A' && first <= 'Z';
  }
  co_return false;
}

}  // namespace cove::http
