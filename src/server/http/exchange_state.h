#pragma once
// The Exchange that a connection hands to its handler: collects the answer's bytes, framed, until the connection writes
// them. It knows no network: the connection lends it a way to be woken. I/O thread only, but for post().

#include <chrono>
#include <functional>
#include <string>

#include "server/http/exchange.h"

namespace cove::http {

struct ExchangeLimits {
  size_t pending_bytes_max = size_t{1} << 20;
};

// What of the request decides how the answer is framed.
struct Framing {
  bool head_only = false;  // HEAD: everything but the body
  bool chunked = true;     // HTTP/1.1; an HTTP/1.0 stream ends with the connection
  bool keep_alive = true;
};

class ExchangeState final : public Exchange {
 public:
  using Post = std::function<void(std::function<void()>)>;

  ExchangeState(Request request, Framing framing, ExchangeLimits limits, Post post)
      : request_(std::move(request)), framing_(framing), limits_(limits), post_(std::move(post)) {}

  Request& request() override { return request_; }
  void respond(Response response) override;
  void start_stream(Response head, StreamOptions options) override;
  void write(std::string_view bytes) override;
  void finish() override;
  bool answered() const override { return outcome_.status != 0; }
  bool closed() const override { return aborted_ || finished_; }
  void on_abort(std::function<void()> action) override;
  void post(std::function<void()> task) override { post_(std::move(task)); }

  // The connection's side.
  void attach(std::function<void()> wake) { wake_ = std::move(wake); }
  void detach() { wake_ = nullptr; }
  void abort(std::string_view reason);
  // A finished answer of which nothing was sent becomes this one; a stream breaks off.
  void replace(Response instead);
  std::string take_pending();
  void write_idle_text();
  bool aborted() const { return aborted_; }
  bool finished() const { return finished_; }
  bool keep_alive() const { return framing_.keep_alive; }
  const StreamOptions& stream_options() const { return stream_; }
  const Outcome& outcome() const { return outcome_; }

 private:
  void wake() {
    if (wake_) wake_();
  }
  void append_chunk(std::string_view bytes);

  Request request_;
  Framing framing_;
  ExchangeLimits limits_;
  Post post_;
  StreamOptions stream_;
  std::function<void()> wake_;
  std::function<void()> abort_action_;
  std::string pending_;
  Outcome outcome_;
  bool streaming_ = false;
  bool aborted_ = false;
  bool finished_ = false;
};

// The status line and header lines of an answer, with the empty line.
struct HeadFraming {
  bool keep_alive = true;
  bool chunked = false;
  bool with_length = true;  // Content-Length of the body
};
std::string response_head(const Response& response, const HeadFraming& framing);

}  // namespace cove::http
