#include "server/http/exchange_state.h"

#include <ctime>
#include <iterator>
#include <utility>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "base/check.h"

namespace cove::http {
namespace {

// "Tue, 24 Nov 2026 03:12:24 GMT", formatted once a second.
const std::string& date_header() {
  thread_local std::time_t last = 0;
  thread_local std::string text;
  const std::time_t now = std::time(nullptr);
  if (now != last) {
    last = now;
    text = fmt::format("{:%a, %d %b %Y %H:%M:%S} GMT", fmt::gmtime(now));
  }
  return text;
}

}  // namespace

std::string response_head(const Response& response, const HeadFraming& framing) {
  std::string head;
  auto out = std::back_inserter(head);
  fmt::format_to(out, "HTTP/1.1 {} {}\r\nDate: {}\r\n", response.status, reason_phrase(response.status), date_header());
  if (!response.content_type.empty()) fmt::format_to(out, "Content-Type: {}\r\n", response.content_type);
  for (const Header& header : response.headers) fmt::format_to(out, "{}: {}\r\n", header.name, header.value);
  if (framing.chunked) {
    head += "Transfer-Encoding: chunked\r\n";
  } else if (framing.with_length && response.status != 204 && response.status != 304) {
    fmt::format_to(out, "Content-Length: {}\r\n", response.body.size());
  }
  head += framing.keep_alive ? "Connection: keep-alive\r\n\r\n" : "Connection: close\r\n\r\n";
  return head;
}

void ExchangeState::respond(Response response) {
  if (closed()) return;
  COVE_CHECK(!answered());
  outcome_.status = response.status;
  pending_ += response_head(response, {.keep_alive = framing_.keep_alive});
  if (!framing_.head_only) {
    pending_ += response.body;
    outcome_.body_bytes = response.body.size();
  }
  finish();
}

void ExchangeState::start_stream(Response head, StreamOptions options) {
  if (closed()) return;
  COVE_CHECK(!answered());
  outcome_.status = head.status;
  stream_ = std::move(options);
  streaming_ = true;
  if (!framing_.chunked) framing_.keep_alive = false;
  pending_ +=
      response_head(head, {.keep_alive = framing_.keep_alive, .chunked = framing_.chunked, .with_length = false});
  wake();
}

void ExchangeState::append_chunk(std::string_view bytes) {
  if (bytes.empty() || framing_.head_only) return;
  outcome_.body_bytes += bytes.size();
  if (!framing_.chunked) {
    pending_ += bytes;
    return;
  }
  fmt::format_to(std::back_inserter(pending_), "{:x}\r\n", bytes.size());
  pending_ += bytes;
  pending_ += "\r\n";
}

void ExchangeState::write(std::string_view bytes) {
  if (closed()) return;
  append_chunk(bytes);
  if (pending_.size() > limits_.pending_bytes_max) {
    abort("the client reads too slowly");
    return;
  }
  wake();
}

void ExchangeState::write_idle_text() { append_chunk(stream_.idle_text); }

void ExchangeState::finish() {
  if (closed()) return;
  if (streaming_ && framing_.chunked && !framing_.head_only) pending_ += "0\r\n\r\n";
  finished_ = true;
  outcome_.complete = true;
  abort_action_ = nullptr;
  wake();
}

void ExchangeState::on_abort(std::function<void()> action) {
  if (aborted_) {
    action();
  } else if (!finished_) {
    abort_action_ = std::move(action);
  }
}

void ExchangeState::abort(std::string_view reason) {
  if (closed()) return;
  aborted_ = true;
  outcome_.reason = reason;
  if (const auto action = std::exchange(abort_action_, nullptr)) action();
  wake();
}

void ExchangeState::replace(Response instead) {
  COVE_CHECK(finished_);
  pending_.clear();
  finished_ = false;
  outcome_.complete = false;
  if (streaming_) return abort("the end of the answer was withheld");
  outcome_ = {};
  respond(std::move(instead));
}

std::string ExchangeState::take_pending() { return std::exchange(pending_, {}); }

}  // namespace cove::http
