#pragma once
// One TCP connection: a reader coroutine that never stops watching the peer, and a serving coroutine that parses, hands
// over and writes. Both move bytes through read_some() and write_some(), which is all that knows whether there is TLS.
// Included by server.cc, connection.cc and connection_io.cc only: the files that see Asio. Everything runs on the I/O
// thread.

#include <atomic>
#include <list>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>

#include "server/http/exchange_state.h"
#include "server/http/server.h"
#include "server/http/tls.h"

namespace cove::http {

class Connection;

// What all connections of a server share.
struct ServerCore {
  ServerOptions options;
  Handler* handler = nullptr;
  boost::asio::io_context io{1};
  std::set<Connection*> connections;
  std::atomic<size_t> connections_open{0};            // their number, for other threads
  std::shared_ptr<const TlsContext> tls;              // of connections to come; null = plain HTTP
  std::list<Connection*> handshakes;                  // unfinished ones, oldest first
  size_t body_bytes = 0;                              // held by the requests in flight
  bool closing = false;                               // no keep-alive any more
  std::string scratch = std::string(64 << 10, '\0');  // every read goes through it
};

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  using Socket = boost::asio::ip::tcp::socket;
  using Clock = std::chrono::steady_clock;

  Connection(std::shared_ptr<ServerCore> core, Socket socket);
  ~Connection();
  void start();
  void wake() { event_.cancel(); }
  // For a connection over the limit: one answer without reading, then close.
  void start_refusing(int status, std::string message);
  // A TLS peer is told that this is the end, unless that would make a cut-off answer look whole.
  void close();

 private:
  struct Parser;
  enum class HeadResult { kReady, kClosed, kBroken };

  void spawn_reader();
  boost::asio::awaitable<void> serve();
  boost::asio::awaitable<void> refuse_all(int status, std::string message);
  boost::asio::awaitable<bool> secure();
  boost::asio::awaitable<HandshakeReport> shake_hands();
  boost::asio::awaitable<bool> speaks_plain_http();
  IoResult read_some();
  IoResult write_some(std::string_view bytes);
  void begin_handshake();
  void end_handshake();
  boost::asio::awaitable<void> read_loop();
  boost::asio::awaitable<bool> serve_one();
  boost::asio::awaitable<bool> wait_for_first_byte();
  boost::asio::awaitable<HeadResult> read_head(Parser& parser, Clock::time_point deadline);
  boost::asio::awaitable<bool> read_body(Parser& parser, Clock::time_point deadline);
  boost::asio::awaitable<bool> answer(Parser& parser, Request request);
  boost::asio::awaitable<bool> pump(std::shared_ptr<ExchangeState> exchange);
  boost::asio::awaitable<void> settle(std::shared_ptr<ExchangeState> exchange);
  boost::asio::awaitable<void> refuse(Parser& parser, int status, std::string message);
  boost::asio::awaitable<void> send_and_linger(Response response, Request request);
  boost::asio::awaitable<bool> write_all(std::string bytes);
  boost::asio::awaitable<void> linger();
  boost::asio::awaitable<void> wait_event(Clock::time_point deadline);
  bool count_body(size_t bytes);
  Request request_of(Parser& parser) const;
  ExchangeState::Post poster() const;

  std::shared_ptr<ServerCore> core_;
  Socket socket_;
  std::unique_ptr<TlsSession> tls_;                            // null = plain HTTP
  std::optional<std::list<Connection*>::iterator> handshake_;  // its place in core_->handshakes
  std::string client_subject_;
  std::string peer_;
  boost::asio::steady_timer event_;  // wakes serve(): input came, output is due, the peer is gone
  boost::asio::steady_timer gate_;   // wakes read_loop() when it paused on a full input_
  boost::asio::steady_timer write_timer_;
  std::string input_;  // read but not parsed
  std::shared_ptr<ExchangeState> exchange_;
  std::shared_ptr<void> context_;  // of the request whose body is being read
  size_t body_bytes_ = 0;          // this connection's share of core_->body_bytes
  bool eof_ = false;
  bool used_ = false;     // a request has begun on it
  bool discard_ = false;  // lingering: what comes is thrown away
};

}  // namespace cove::http
