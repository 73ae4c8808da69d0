#include "server/http/connection.h"

#include <thread>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

#include "base/log.h"

namespace cove::http {
namespace {

namespace asio = boost::asio;
namespace beast_http = boost::beast::http;
using boost::system::error_code;

constexpr auto kQuiet = asio::as_tuple(asio::use_awaitable);  // errors as values
constexpr std::chrono::seconds kLingerTime{5};

Method method_of(beast_http::verb verb) {
  switch (verb) {
    case beast_http::verb::get: return Method::kGet;
    case beast_http::verb::head: return Method::kHead;
    case beast_http::verb::post: return Method::kPost;
    case beast_http::verb::put: return Method::kPut;
    case beast_http::verb::patch: return Method::kPatch;
    case beast_http::verb::delete_: return Method::kDelete;
    case beast_http::verb::options: return Method::kOptions;
    default: return Method::kOther;
  }
}

std::string_view view(boost::beast::string_view text) { return {text.data(), text.size()}; }

void split_target(std::string_view target, Request& request) {
  // The absolute form "http://host/path" names the same resource as "/path".
  if (const size_t scheme = target.find("://"); scheme != std::string_view::npos && target.front() != '/') {
    const size_t slash = target.find('/', scheme + 3);
    target = slash == std::string_view::npos ? std::string_view("/") : target.substr(slash);
  }
  const size_t question = std::min(target.find('?'), target.size());
  request.path = percent_decode(target.substr(0, question));
  if (question < target.size()) request.query = target.substr(question + 1);
}

std::pair<int, std::string> status_of(const error_code& error, const ServerOptions& options) {
  if (error == beast_http::error::body_limit) {
    return {413, "the request body is larger than " + std::to_string(options.body_bytes_max) +
                     " bytes (server.body_mb_max)"};
  }
  if (error == beast_http::error::header_limit) {
    return {431, "the request head is larger than " + std::to_string(options.head_bytes_max) + " bytes"};
  }
  if (error == beast_http::error::bad_version) return {505, "only HTTP/1.0 and HTTP/1.1 are spoken here"};
  return {400, "not a valid HTTP request: " + error.message()};
}

}  // namespace

struct Connection::Parser {
  beast_http::request_parser<beast_http::string_body> http;
  error_code error;
};

Connection::Connection(std::shared_ptr<ServerCore> core, Socket socket)
    : core_(std::move(core)), socket_(std::move(socket)), event_(core_->io), gate_(core_->io), write_timer_(core_->io) {
  core_->connections.insert(this);
  ++core_->connections_open;
  error_code ignored;
  const auto endpoint = socket_.remote_endpoint(ignored);
  if (!ignored) peer_ = endpoint.address().to_string();
  socket_.set_option(asio::ip::tcp::no_delay(true), ignored);
  socket_.non_blocking(true, ignored);
  if (core_->tls) tls_ = std::make_unique<TlsSession>(*core_->tls, socket_.native_handle());
}

Connection::~Connection() {
  end_handshake();
  count_body(0);
  core_->connections.erase(this);
  --core_->connections_open;
}

// This connection's request holds `bytes` of body from now on. False when all together hold too much.
bool Connection::count_body(size_t bytes) {
  core_->body_bytes += bytes - body_bytes_;
  body_bytes_ = bytes;
  return bytes == 0 || core_->body_bytes <= core_->options.bodies_bytes_max;
}

void Connection::spawn_reader() {
  asio::co_spawn(core_->io, [self = shared_from_this()] { return self->read_loop(); }, asio::detached);
}

void Connection::start() {
  asio::co_spawn(core_->io, [self = shared_from_this()] { return self->serve(); }, asio::detached);
}

void Connection::start_refusing(int status, std::string message) {
  const auto self = shared_from_this();
  asio::co_spawn(
      core_->io,
      [self, status, message]() -> asio::awaitable<void> {
        if (co_await self->secure()) co_await self->refuse_all(status, message);
        self->close();
      },
      asio::detached);
}

// Waits until wake() or the deadline; callers look at the state again after it.
asio::awaitable<void> Connection::wait_event(Clock::time_point deadline) {
  event_.expires_at(deadline);
  co_await event_.async_wait(kQuiet);
}

asio::awaitable<void> Connection::read_loop() {
  const auto self = shared_from_this();
  while (socket_.is_open()) {
    if (!discard_ && input_.size() >= core_->options.read_ahead_bytes_max) {
      gate_.expires_at(Clock::time_point::max());
      co_await gate_.async_wait(kQuiet);
      continue;
    }
    const auto [wait_error] = co_await socket_.async_wait(Socket::wait_read, kQuiet);
    if (wait_error) break;
    const IoResult got = read_some();
    if (got.state == IoState::kEnd) break;
    if (got.state == IoState::kWantWrite) co_await socket_.async_wait(Socket::wait_write, kQuiet);
    if (got.bytes == 0) continue;
    if (!discard_) input_.append(core_->scratch, 0, got.bytes);
    wake();
  }
  eof_ = true;
  // A finished answer is still written out: the peer may only have closed its sending side.
  if (exchange_) exchange_->abort("the client closed the connection");
  wake();
}

asio::awaitable<void> Connection::serve() {
  const auto self = shared_from_this();
  if (co_await secure()) {
    spawn_reader();
    while (co_await serve_one()) {}
  }
  close();
}

// For a peer that is not served: one answer to whatever it says.
asio::awaitable<void> Connection::refuse_all(int status, std::string message) {
  spawn_reader();
  Parser parser;
  co_await refuse(parser, status, std::move(message));
}

asio::awaitable<bool> Connection::wait_for_first_byte() {
  const auto deadline = Clock::now() + core_->options.idle_timeout;
  while (input_.empty()) {
    // While closing, a connection that was never used still gets one answer: probes must learn that the server drains.
    if (eof_ || (core_->closing && used_) || Clock::now() >= deadline) co_return false;
    co_await wait_event(deadline);
  }
  used_ = true;
  co_return true;
}

asio::awaitable<bool> Connection::serve_one() {
  if (!co_await wait_for_first_byte()) co_return false;
  Parser parser;
  parser.http.header_limit(static_cast<std::uint32_t>(core_->options.head_bytes_max));
  parser.http.body_limit(core_->options.body_bytes_max);
  parser.http.eager(false);
  const HeadResult head = co_await read_head(parser, Clock::now() + core_->options.head_timeout);
  if (head == HeadResult::kClosed) co_return false;
  if (head == HeadResult::kBroken) {
    auto [status, message] = status_of(parser.error, core_->options);
    co_await refuse(parser, status, message);
    co_return false;
  }
  Request request = request_of(parser);
  // A body in a coding that is not undone here would be taken for the next request.
  const std::string_view coding = request.header("transfer-encoding");
  if (!coding.empty() && !equal_ignoring_case(coding, "chunked")) {
    co_await refuse(parser, 501, "the only transfer coding known here is chunked");
    co_return false;
  }
  if (auto refused = core_->handler->check_head(request)) {
    if (request.expects_body) {
      co_await send_and_linger(std::move(*refused), std::move(request));
      co_return false;
    }
    const auto exchange = std::make_shared<ExchangeState>(
        std::move(request),
        Framing{.head_only = request.method == Method::kHead, .keep_alive = parser.http.keep_alive()}, ExchangeLimits{},
        poster());
    exchange->respond(std::move(*refused));
    co_return co_await pump(exchange);
  }
  context_ = request.context;
  const bool whole = co_await read_body(parser, Clock::now() + core_->options.body_timeout);
  if (!whole && context_ != nullptr) {
    core_->handler->done(request, {.status = 0, .complete = false, .reason = "the client closed the connection"});
  }
  context_ = nullptr;
  if (!whole) co_return false;
  co_return co_await answer(parser, std::move(request));
}

asio::awaitable<Connection::HeadResult> Connection::read_head(Parser& parser, Clock::time_point deadline) {
  for (;;) {
    const size_t used = parser.http.put(asio::buffer(input_), parser.error);
    input_.erase(0, used);
    gate_.cancel();
    if (parser.error == beast_http::error::need_more) {
      parser.error = {};
    } else if (parser.error) {
      co_return HeadResult::kBroken;
    }
    if (parser.http.is_header_done()) co_return HeadResult::kReady;
    if (eof_) co_return HeadResult::kClosed;
    if (Clock::now() >= deadline) {
      co_await refuse(parser, 408, "the request head did not arrive in time");
      co_return HeadResult::kClosed;
    }
    if (used == 0 || input_.empty()) co_await wait_event(deadline);
  }
}

asio::awaitable<bool> Connection::read_body(Parser& parser, Clock::time_point deadline) {
  const std::string_view expect = view(parser.http.get()[beast_http::field::expect]);
  if (!expect.empty() && !equal_ignoring_case(expect, "100-continue")) {
    co_await refuse(parser, 417, "only 'Expect: 100-continue' is known");
    co_return false;
  }
  if (!expect.empty() && !parser.http.is_done() && input_.empty()) {
    if (!co_await write_all("HTTP/1.1 100 Continue\r\n\r\n")) co_return false;
  }
  while (!parser.http.is_done()) {
    const size_t used = input_.empty() ? 0 : parser.http.put(asio::buffer(input_), parser.error);
    input_.erase(0, used);
    gate_.cancel();
    if (parser.error == beast_http::error::need_more) parser.error = {};
    if (parser.error) {
      auto [status, message] = status_of(parser.error, core_->options);
      co_await refuse(parser, status, message);
      co_return false;
    }
    if (!count_body(parser.http.get().body().size())) {
      co_await refuse(parser, 503, "the bodies of all requests together are too large at the moment");
      co_return false;
    }
    if (parser.http.is_done()) break;
    if (used > 0 && !input_.empty()) continue;
    if (eof_) co_return false;
    if (Clock::now() >= deadline) {
      co_await refuse(parser, 408, "the request body did not arrive in time");
      co_return false;
    }
    co_await wait_event(deadline);
  }
  co_return true;
}

Request Connection::request_of(Parser& parser) const {
  const auto& message = parser.http.get();
  Request request;
  request.method = method_of(message.method());
  request.method_name = view(message.method_string());
  request.peer = peer_;
  request.secure = tls_ != nullptr;
  request.client_subject = client_subject_;
  split_target(view(message.target()), request);
  for (const auto& field : message) {
    request.headers.push_back({std::string(view(field.name_string())), std::string(view(field.value()))});
  }
  request.expects_body = parser.http.is_header_done() && !parser.http.is_done();
  return request;
}

ExchangeState::Post Connection::poster() const {
  // Weak: an engine may hold the exchange longer than the server lives.
  return [weak = std::weak_ptr<ServerCore>(core_)](std::function<void()> task) {
    if (const auto core = weak.lock()) asio::post(core->io, std::move(task));
  };
}

asio::awaitable<bool> Connection::answer(Parser& parser, Request request) {
  request.body = std::move(parser.http.get().body());
  const Framing framing{.head_only = request.method == Method::kHead,
                        .chunked = parser.http.get().version() >= 11,
                        .keep_alive = parser.http.keep_alive() && !core_->closing};
  const auto exchange = std::make_shared<ExchangeState>(
      std::move(request), framing, ExchangeLimits{.pending_bytes_max = core_->options.write_pending_bytes_max},
      poster());
  exchange->attach([this] { wake(); });
  exchange_ = exchange;
  core_->handler->handle(exchange);
  if (eof_) exchange->abort("the client closed the connection");
  co_return co_await pump(exchange);
}

// Waits until the handler has agreed to the answer's end.
asio::awaitable<void> Connection::settle(std::shared_ptr<ExchangeState> exchange) {
  struct Verdict {
    bool known = false;  // I/O thread
    std::optional<Response> instead;
  };
  const auto verdict = std::make_shared<Verdict>();
  const auto decide = [weak = weak_from_this(), verdict](std::optional<Response> instead) {
    verdict->known = true;
    verdict->instead = std::move(instead);
    if (const auto self = weak.lock()) self->wake();
  };
  core_->handler->ending(exchange->request(), exchange->outcome(),
                         [decide, post = poster(), io = std::this_thread::get_id()](std::optional<Response> instead) {
                           if (std::this_thread::get_id() == io) return decide(std::move(instead));
                           post([decide, instead = std::move(instead)] { decide(instead); });
                         });
  while (!verdict->known) co_await wait_event(Clock::time_point::max());
  if (verdict->instead) exchange->replace(std::move(*verdict->instead));
}

// Writes what the exchange collects until it is finished or given up. Returns whether the connection can go on.
asio::awaitable<bool> Connection::pump(std::shared_ptr<ExchangeState> exchange) {
  const StreamOptions& stream = exchange->stream_options();
  bool delivered = true;
  bool settled = false;
  auto last_write = Clock::now();
  while (!exchange->aborted()) {
    if (exchange->finished() && !std::exchange(settled, true)) {
      co_await settle(exchange);
      continue;
    }
    std::string bytes = exchange->take_pending();
    if (!bytes.empty()) {
      delivered = co_await write_all(std::move(bytes));
      if (!delivered) exchange->abort("the client could not be written to");
      last_write = Clock::now();
      if (!delivered) break;
      continue;
    }
    if (exchange->finished()) break;
    const bool idles = stream.idle_every.count() > 0;
    const auto deadline = idles ? last_write + stream.idle_every : Clock::time_point::max();
    if (idles && Clock::now() >= deadline) {
      exchange->write_idle_text();
      continue;
    }
    co_await wait_event(deadline);
  }
  exchange->detach();
  exchange_ = nullptr;
  count_body(0);
  Outcome outcome = exchange->outcome();
  if (!delivered) outcome.complete = false;
  core_->handler->done(exchange->request(), outcome);
  co_return delivered && !exchange->aborted() && exchange->keep_alive() && !core_->closing;
}

asio::awaitable<void> Connection::refuse(Parser& parser, int status, std::string message) {
  Request request = request_of(parser);
  request.context = std::exchange(context_, nullptr);
  Response response = core_->handler->refuse(request, status, message);
  co_await send_and_linger(std::move(response), std::move(request));
}

// An answer to a request whose body was not read: then the connection cannot be used again.
asio::awaitable<void> Connection::send_and_linger(Response response, Request request) {
  const Framing framing{.head_only = request.method == Method::kHead, .keep_alive = false};
  const auto exchange = std::make_shared<ExchangeState>(std::move(request), framing, ExchangeLimits{}, poster());
  exchange->respond(std::move(response));
  co_await pump(exchange);
  co_await linger();
}

// Closing with unread input would make the kernel reset the connection and may take the answer from the client, so what
// still comes is read and thrown away for a while.
asio::awaitable<void> Connection::linger() {
  discard_ = true;
  input_.clear();
  input_.shrink_to_fit();
  gate_.cancel();
  if (tls_ && socket_.is_open()) tls_->close_notify();
  error_code ignored;
  socket_.shutdown(Socket::shutdown_send, ignored);
  const auto deadline = Clock::now() + kLingerTime;
  while (!eof_ && Clock::now() < deadline) co_await wait_event(deadline);
}

}  // namespace cove::http
