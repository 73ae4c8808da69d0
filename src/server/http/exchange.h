#pragma once
// One request and the answer to it, as endpoints see them; implemented by connection.cc. Everything but post() belongs
// to the I/O thread. An exchange may be kept as long as needed: after the peer has gone, calls do nothing.

#include <chrono>
#include <functional>
#include <string>
#include <string_view>

#include "server/http/message.h"

namespace cove::http {

// How an exchange ended, for the access log and the metrics.
struct Outcome {
  int status = 0;
  uint64_t body_bytes = 0;  // of the answer, as written
  bool complete = false;    // false: the peer went away, or was too slow, before the answer's end
  std::string_view reason;  // why not complete
};

struct StreamOptions {
  std::string idle_text;  // written when nothing else was for idle_every: keeps proxies from giving up
  std::chrono::milliseconds idle_every{0};  // 0 = never
};

class Exchange {
 public:
  virtual ~Exchange() = default;

  virtual Request& request() = 0;
  // The whole answer at once.
  virtual void respond(Response response) = 0;
  // Or piece by piece: the head goes out at once, then write() any number of times, then finish(). `head.body` is not
  // used.
  virtual void start_stream(Response head, StreamOptions options) = 0;
  virtual void write(std::string_view bytes) = 0;
  virtual void finish() = 0;
  // Whether an answer was begun, and whether the exchange is over for whatever reason.
  virtual bool answered() const = 0;
  virtual bool closed() const = 0;
  // `action` runs once on the I/O thread when the peer goes away or reads too slowly before the answer's end; at once
  // when it already has.
  virtual void on_abort(std::function<void()> action) = 0;
  // Runs `task` on the I/O thread. Any thread.
  virtual void post(std::function<void()> task) = 0;
};

}  // namespace cove::http
