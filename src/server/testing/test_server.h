#pragma once
// A real listening server over the fake engine, and a raw-socket client that can misbehave. Header only; tests alone
// include it.

#include <atomic>
#include <cstring>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/gateway.h"
#include "server/http/server.h"
#include "server/testing/fake_engine.h"

namespace cove::server::testing {

// Waits until `condition` holds, at most `limit`.
inline bool eventually(const std::function<bool()>& condition,
                       std::chrono::milliseconds limit = std::chrono::seconds(10)) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  while (std::chrono::steady_clock::now() < deadline) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return condition();
}

struct TestReply {
  int status = 0;
  std::string head;
  std::string body;  // chunks joined
};

class TestClient {
 public:
  explicit TestClient(uint16_t port, int receive_buffer = 0) : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
    if (receive_buffer > 0) ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = ::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  }
  virtual ~TestClient() { close(); }
  TestClient(const TestClient&) = delete;
  TestClient& operator=(const TestClient&) = delete;

  bool connected() const { return connected_; }
  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }
  // False when the peer has closed.
  virtual bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(sent));
    }
    return true;
  }
  // Reads more into the buffer; false at the end of the stream or after `limit`.
  bool receive(std::chrono::milliseconds limit = std::chrono::seconds(10)) { return receive_some(limit); }
  virtual bool receive_some(std::chrono::milliseconds limit) {
    pollfd poller{fd_, POLLIN, 0};
    if (::poll(&poller, 1, static_cast<int>(limit.count())) <= 0) return false;
    char buffer[65536];
    const ssize_t got = ::recv(fd_, buffer, sizeof buffer, 0);
    if (got <= 0) return false;
    received_.append(buffer, static_cast<size_t>(got));
    return true;
  }
  bool receive_until(std::string_view text, std::chrono::milliseconds limit = std::chrono::seconds(10)) {
    while (received_.find(text) == std::string::npos) {
      if (!receive(limit)) return false;
    }
    return true;
  }
  bool at_end(std::chrono::milliseconds limit = std::chrono::seconds(10)) {
    while (receive(limit)) {}
    char byte = 0;
    return ::recv(fd_, &byte, 1, MSG_DONTWAIT | MSG_PEEK) == 0 || errno == ECONNRESET;
  }
  const std::string& received() const { return received_; }

  // One answer; leaves what follows it in the buffer.
  TestReply reply() {
    TestReply reply;
    if (!receive_until("\r\n\r\n")) return reply;
    const size_t head_end = received_.find("\r\n\r\n") + 4;
    reply.head = received_.substr(0, head_end);
    received_.erase(0, head_end);
    reply.status = std::stoi(reply.head.substr(9, 3));
    if (reply.status == 100) return this->reply();
    if (reply.head.find("Transfer-Encoding: chunked") != std::string::npos) {
      read_chunks(reply);
    } else if (const size_t at = reply.head.find("Content-Length: "); at != std::string::npos) {
      const size_t length = std::stoul(reply.head.substr(at + 16));
      while (received_.size() < length && receive()) {}
      reply.body = received_.substr(0, length);
      received_.erase(0, length);
    }
    return reply;
  }

 protected:
  int descriptor() const { return fd_; }
  void append(std::string_view bytes) { received_ += bytes; }

 private:
  void read_chunks(TestReply& reply) {
    for (;;) {
      if (!receive_until("\r\n")) return;
      const size_t line = received_.find("\r\n");
      const size_t size = std::stoul(received_.substr(0, line), nullptr, 16);
      while (received_.size() < line + 2 + size + 2 && receive()) {}
      reply.body += received_.substr(line + 2, size);
      received_.erase(0, line + 2 + size + 2);
      if (size == 0) return;
    }
  }

  int fd_;
  bool connected_ = false;
  std::string received_;
};

inline constexpr auth::PasswordCost kCheapPasswords{.passes = 1, .memory_bytes = 8 << 10};

struct TestServerOptions {
  http::ServerOptions http{};
  AuthMode auth = AuthMode::kRequired;
  auth::LimitValues limits{};
  auth::LoginGuardOptions guard{};
  auth::AddressRules addresses{};
  int64_t token_ttl_s = 3600;
  auth::ForeignTokens* foreign = nullptr;
  std::chrono::microseconds step{200};
  bool with_model = true;
  anomaly::Watch* watch = nullptr;
  const plugins::PluginSet* plugins = nullptr;
  audit::Log* audit = nullptr;
  std::filesystem::path audit_dir{};
};

class TestServer {
 public:
  explicit TestServer(TestServerOptions options = {}) : engine(options.step) {
    database = std::move(*storage::Database::open({.path = ":memory:"}));
    keys = std::make_unique<auth::ApiKeys>(*database);
    users = std::make_unique<auth::Users>(*database, kCheapPasswords);
    admin_key = keys->create({.name = "admin", .role = auth::Role::kAdmin, .expires_s = {}}, 1)->secret;
    user_key = keys->create({.name = "user", .role = auth::Role::kUser, .expires_s = {}}, 1)->secret;
    addresses = std::move(options.addresses);
    guard = std::make_unique<auth::LoginGuard>(options.guard);
    limits = std::make_unique<auth::RateLimits>(*database, auth::RateLimitsOptions{.defaults = options.limits});
    static std::atomic<int> count{0};
    token_keys = std::filesystem::temp_directory_path() /
                 ("cove-test-server-" + std::to_string(::getpid()) + "-" + std::to_string(++count));
    tokens = std::move(*auth::TokenIssuer::open({.path = token_keys, .ttl_s = options.token_ttl_s}, 1));
    gateway = std::make_unique<Gateway>(GatewayOptions{.auth = options.auth, .work = {}},
                                        GatewayServices{.keys = keys.get(),
                                                        .sessions = &sessions,
                                                        .users = users.get(),
                                                        .tokens = tokens.get(),
                                                        .foreign_tokens = options.foreign,
                                                        .login_guard = guard.get(),
                                                        .rate_limits = limits.get(),
                                                        .addresses = &addresses,
                                                        .watch = options.watch,
                                                        .webhook = nullptr,
                                                        .plugins = options.plugins,
                                                        .audit = options.audit,
                                                        .audit_dir = options.audit_dir});
    if (options.with_model) set_model();
    options.http.port = 0;
    auto created = http::Server::create(options.http, *gateway);
    EXPECT_TRUE(created) << created.error().message;
    server = std::move(*created);
    gateway->set_server(server.get());
    thread = std::thread([this] { server->run(); });
  }
  ~TestServer() {
    server->stop();
    thread.join();
    std::filesystem::remove(token_keys);
    std::filesystem::remove(token_keys.string() + ".lock");
  }

  void set_model() {
    gateway->set_model(serve_model({.engine = &engine,
                                    .tokenizer = &engine.tokenizer(),
                                    .chat_template = &chat_template,
                                    .name = "fake",
                                    .aliases = {"alias"},
                                    .defaults = {},
                                    .bos_token = {},
                                    .eos_token = {}},
                                   1700000000));
  }
  uint16_t port() const { return server->port(); }

  std::string request_text(std::string_view method, std::string_view path, std::string_view body,
                           std::string_view extra = {}) const {
    std::string text = std::string(method) + " " + std::string(path) +
                       " HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer " + user_key + "\r\n";
    text += extra;
    if (!body.empty())
      text += "Content-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) + "\r\n";
    return text + "\r\n" + std::string(body);
  }
  TestReply call(std::string_view method, std::string_view path, std::string_view body = {},
                 std::string_view extra = {}) const {
    TestClient client(port());
    client.send(request_text(method, path, body, extra));
    return client.reply();
  }
  // A chat request with one user message.
  static std::string chat(std::string_view content, std::string_view more = {}) {
    return R"({"messages":[{"role":"user","content":")" + std::string(content) + R"("}])" + (more.empty() ? "" : ",") +
           std::string(more) + "}";
  }
  TestReply ask(std::string_view content, std::string_view more = {}) const {
    return call("POST", "/v1/chat/completions", chat(content, more));
  }
  bool all_released() {
    return eventually([this] { return engine.live() == 0; });
  }

  FakeEngine engine;
  PlainTemplate chat_template;
  std::unique_ptr<storage::Database> database;
  std::unique_ptr<auth::ApiKeys> keys;
  std::unique_ptr<auth::Users> users;
  auth::AddressRules addresses;
  std::unique_ptr<auth::LoginGuard> guard;
  std::unique_ptr<auth::RateLimits> limits;
  std::filesystem::path token_keys;
  std::unique_ptr<auth::TokenIssuer> tokens;
  auth::Sessions sessions;
  std::string admin_key;
  std::string user_key;
  std::unique_ptr<Gateway> gateway;
  std::unique_ptr<http::Server> server;
  std::thread thread;
};

}  // namespace cove::server::testing
