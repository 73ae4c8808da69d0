#include "server/http/server.h"

#include <vector>

#include <fmt/format.h>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/impl/src.hpp>  // Asio's compiled part (BOOST_ASIO_SEPARATE_COMPILATION) lives in this file
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/src.hpp>  // Beast's too

#include "base/log.h"
#include "server/http/connection.h"

namespace cove::http {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

class ServerImpl final : public Server {
 public:
  ServerImpl(const ServerOptions& options, Handler& handler) : core_(std::make_shared<ServerCore>()) {
    core_->options = options;
    core_->handler = &handler;
    core_->tls = options.tls;
  }

  ~ServerImpl() override = default;

  Status listen() {
    error_code error;
    const std::string host = core_->options.host == "localhost" ? "127.0.0.1" : core_->options.host;
    const auto address = asio::ip::make_address(host, error);
    if (error) return failed(fmt::format("'{}' is not an IP address; use 127.0.0.1, 0.0.0.0, ::1 or ::", host));
    const tcp::endpoint endpoint(address, core_->options.port);
    acceptor_.open(endpoint.protocol(), error);
    if (!error) acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
    if (!error) acceptor_.bind(endpoint, error);
    if (error == asio::error::address_in_use) {
      return failed(fmt::format("port {} on {} is in use by another program; choose another one with --port",
                                core_->options.port, host));
    }
    if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
    if (error)
      return failed(fmt::format("cannot listen on {} port {}: {}", host, core_->options.port, error.message()));
    acceptor_.non_blocking(true, error);
    port_ = acceptor_.local_endpoint(error).port();
    return {};
  }

  uint16_t port() const override { return port_; }

  void run() override {
    asio::co_spawn(core_->io, accept_loop(), asio::detached);
    core_->io.run();
  }

  // Every coroutine ends by itself when its socket is closed: then run() has nothing left to do.
  void stop() override {
    post([this] {
      core_->closing = true;
      error_code ignored;
      acceptor_.close(ignored);
      const std::vector<Connection*> open(core_->connections.begin(), core_->connections.end());
      for (Connection* connection : open) connection->close();
    });
  }

  void stop_keep_alive() override {
    post([core = core_.get()] {
      core->closing = true;
      for (Connection* connection : core->connections) connection->wake();
    });
  }

  void set_tls(std::shared_ptr<const TlsContext> tls) override {
    post([core = core_.get(), tls = std::move(tls)] { core->tls = tls; });
  }

  void post(std::function<void()> task) override { asio::post(core_->io, std::move(task)); }
  size_t connections() const override { return core_->connections_open; }

 private:
  static Error failed(std::string message) { return {ErrorCode::kFailedPrecondition, std::move(message)}; }

  asio::awaitable<void> accept_loop() {
    constexpr auto kQuiet = asio::as_tuple(asio::use_awaitable);
    asio::steady_timer pause(core_->io);
    for (;;) {
      auto [error, socket] = co_await acceptor_.async_accept(kQuiet);
      if (!acceptor_.is_open()) co_return;
      if (error) {
        // Out of file descriptors, most likely: the backlog waits while others finish.
        log::warn("http.accept_failed", {{"error", error.message()}});
        pause.expires_after(std::chrono::milliseconds(100));
        co_await pause.async_wait(kQuiet);
        continue;
      }
      const bool full = core_->connections.size() >= core_->options.connections_max;
      const auto connection = std::make_shared<Connection>(core_, std::move(socket));
      if (full) {
        connection->start_refusing(503, "too many connections are open");
      } else {
        connection->start();
      }
    }
  }

  std::shared_ptr<ServerCore> core_;
  tcp::acceptor acceptor_{core_->io};
  uint16_t port_ = 0;
};

}  // namespace

Result<std::unique_ptr<Server>> Server::create(const ServerOptions& options, Handler& handler) {
  auto server = std::make_unique<ServerImpl>(options, handler);
  TRY(server->listen());
  return std::unique_ptr<Server>(std::move(server));
}

bool is_loopback(const std::string& host) {
  if (host == "localhost") return true;
  error_code error;
  const auto address = asio::ip::make_address(host, error);
  return !error && address.is_loopback();
}

}  // namespace cove::http
