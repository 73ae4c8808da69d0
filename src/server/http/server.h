#pragma once
// The HTTP/1.1 server: one I/O thread, coroutines inside (connection.cc). Its handler is server/gateway.

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "server/http/exchange.h"

namespace cove::http {

class TlsContext;

// How a TLS handshake ended.
struct HandshakeReport {
  enum class Result : uint8_t { kDone, kFailed, kTimeout, kPlainHttp, kCrowdedOut };
  Result result = Result::kDone;
  std::string detail;  // why not done
};

// All calls come from the I/O thread and must not block it.
class Handler {
 public:
  virtual ~Handler() = default;
  // The head has arrived, the body has not: an answer here refuses the request without reading its body.
  virtual std::optional<Response> check_head(Request& request) = 0;
  virtual void handle(std::shared_ptr<Exchange> exchange) = 0;
  // A request that could not be read: broken syntax, too large, too slow. `request` holds what is known of it.
  virtual Response refuse(Request& request, int status, std::string_view message) = 0;
  // The answer is whole, but its last bytes (of an answer that is no stream: all) are held back until `settle` is
  // called, once, on any thread: with nothing they are sent; otherwise they are not, and the client gets this answer
  // instead, or a stream that breaks off. By default nothing is held back.
  using Settle = std::function<void(std::optional<Response> instead)>;
  virtual void ending(const Request& /*request*/, const Outcome& /*outcome*/, const Settle& settle) {
    settle(std::nullopt);
  }
  virtual void done(const Request& request, const Outcome& outcome) = 0;
  virtual void handshake_ended(const std::string& /*peer*/, const HandshakeReport& /*report*/) {}
};

struct ServerOptions {
  std::string host = "127.0.0.1";
  uint16_t port = 8080;  // 0 = a free one
  size_t body_bytes_max = size_t{32} << 20;
  size_t bodies_bytes_max = size_t{512} << 20;  // of all requests in flight; more get 503
  size_t head_bytes_max = 32 << 10;
  size_t read_ahead_bytes_max = 64 << 10;            // pipelined bytes kept while an answer is being made
  size_t write_pending_bytes_max = size_t{1} << 20;  // of a stream; a slower reader is cut off
  size_t connections_max = 8192;
  std::shared_ptr<const TlsContext> tls;  // null = plain HTTP
  size_t handshakes_max = 1024;           // unfinished ones; one more drops the oldest
  std::chrono::milliseconds handshake_timeout{10'000};
  std::chrono::milliseconds head_timeout{15'000};   // from its first byte
  std::chrono::milliseconds body_timeout{60'000};   // the whole body
  std::chrono::milliseconds idle_timeout{75'000};   // between requests
  std::chrono::milliseconds write_timeout{30'000};  // without any progress
};

class Server {
 public:
  // Binds and listens. Errors: kFailedPrecondition naming address, port and what to do.
  static Result<std::unique_ptr<Server>> create(const ServerOptions& options, Handler& handler);
  virtual ~Server() = default;

  virtual uint16_t port() const = 0;
  // Serves until stop(). Call once; the calling thread becomes the I/O thread.
  virtual void run() = 0;
  // Any thread. Closes everything and lets run() return.
  virtual void stop() = 0;
  // Any thread. Keep-alive connections are closed after their present answer from now on.
  virtual void stop_keep_alive() = 0;
  // Any thread. Connections accepted from now on use this certificate; open ones keep theirs.
  virtual void set_tls(std::shared_ptr<const TlsContext> tls) = 0;
  // Any thread. Runs `task` on the I/O thread.
  virtual void post(std::function<void()> task) = 0;
  // Any thread.
  virtual size_t connections() const = 0;
};

// True for names and addresses that only this machine reaches: 127.0.0.0/8, ::1, localhost.
bool is_loopback(const std::string& host);

}  // namespace cove::http
