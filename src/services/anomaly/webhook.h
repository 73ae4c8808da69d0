#pragma once
// Posts alerts to the address that the configuration names, from a thread of its own: a slow or dead receiver delays
// nobody. What cannot be delivered is tried again with growing pauses; the queue is bounded and forgets its oldest.

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "base/result.h"
#include "services/outbound/http_client.h"

namespace cove::anomaly {

struct WebhookOptions {
  std::string url;
  std::string secret;   // signs each message; empty = unsigned
  std::string ca_file;  // PEM; empty = the system's
  size_t queue_max = 256;
  std::chrono::milliseconds timeout{5'000};  // of one attempt
  std::chrono::milliseconds first_pause{1'000};
  std::chrono::milliseconds pause_max{300'000};
  std::chrono::seconds give_up_after{86'400};
};

// "t=1700000000,v1=<hex>": HMAC-SHA256 over "<t>.<body>" with the secret; the header's name is X-Cove-Signature. The
// time is part of it, so that a receiver can refuse old messages.
std::string sign_message(std::string_view secret, std::string_view body, int64_t now_s);

class Webhook {
 public:
  using Send = std::function<Result<outbound::HttpResponse>(const outbound::HttpRequest&)>;

  // Errors: kInvalidArgument when the URL is none. `send` is outbound::send but in tests.
  static Result<std::unique_ptr<Webhook>> create(const WebhookOptions& options, Send send = outbound::send);
  // Gives up what is still queued, after the attempt that is under way.
  ~Webhook();
  Webhook(const Webhook&) = delete;
  Webhook& operator=(const Webhook&) = delete;

  // Any thread; never waits.
  void post(std::string body);

  struct Counts {
    uint64_t delivered = 0;
    uint64_t failed_attempts = 0;
    uint64_t dropped = 0;  // refused by the receiver, too old, or pushed out of the full queue
    size_t queued = 0;
  };
  Counts counts() const;

 private:
  struct Message {
    std::string body;
    std::chrono::steady_clock::time_point since;
  };
  enum class Outcome : uint8_t { kDelivered, kAgain, kRefused };

  Webhook(const WebhookOptions& options, Send send) : options_(options), send_(std::move(send)) {}
  void run();
  Outcome deliver(const std::string& body);

  WebhookOptions options_;
  Send send_;
  mutable std::mutex mutex_;  // guards what follows; never held while sending
  std::condition_variable wake_;
  std::deque<Message> queue_;
  Counts counts_;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace cove::anomaly
