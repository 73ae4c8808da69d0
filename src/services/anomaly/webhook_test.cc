#include "services/anomaly/webhook.h"

#include <atomic>

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace cove::anomaly {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;
using std::chrono::seconds;

bool eventually(const std::function<bool()>& condition) {
  const auto deadline = Clock::now() + seconds(10);
  while (!condition() && Clock::now() < deadline) std::this_thread::sleep_for(milliseconds(1));
  return condition();
}

// Answers as told and remembers what came.
class Receiver {
 public:
  Webhook::Send send() {
    return [this](const outbound::HttpRequest& request) -> Result<outbound::HttpResponse> {
      const std::lock_guard lock(mutex_);
      requests_.push_back(request);
      times_.push_back(Clock::now());
      const int status = statuses_.empty() ? 200 : statuses_.front();
      if (!statuses_.empty()) statuses_.pop_front();
      if (status == 0) return make_error(ErrorCode::kUnavailable, request.url + ": refused");
      return outbound::HttpResponse{.status = status, .content_type = {}, .body = {}};
    };
  }
  void answer(std::deque<int> statuses) {
    const std::lock_guard lock(mutex_);
    statuses_ = std::move(statuses);
  }
  std::vector<std::string> bodies() const {
    const std::lock_guard lock(mutex_);
    std::vector<std::string> out;
    for (const auto& request : requests_) out.push_back(request.body);
    return out;
  }
  outbound::HttpRequest first() const {
    const std::lock_guard lock(mutex_);
    return requests_.at(0);
  }
  std::vector<Clock::time_point> times() const {
    const std::lock_guard lock(mutex_);
    return times_;
  }

 private:
  mutable std::mutex mutex_;
  std::deque<int> statuses_;
  std::vector<outbound::HttpRequest> requests_;
  std::vector<Clock::time_point> times_;
};

WebhookOptions fast() {
  WebhookOptions options;
  options.url = "http://alerts.example/hook/secret-token";
  options.first_pause = milliseconds(5);
  options.pause_max = milliseconds(40);
  return options;
}

TEST(Webhook, delivers_in_order_and_signs) {
  Receiver receiver;
  WebhookOptions options = fast();
  options.secret = "0123456789abcdef";
  const auto webhook = std::move(*Webhook::create(options, receiver.send()));
  for (const char* body : {"one", "two", "three"}) webhook->post(body);
  ASSERT_TRUE(eventually([&] { return webhook->counts().delivered == 3; }));
  EXPECT_EQ(receiver.bodies(), (std::vector<std::string>{"one", "two", "three"}));
  std::string signature;
  for (const auto& [name, value] : receiver.first().headers) {
    if (name == "X-Cove-Signature") signature = value;
  }
  const int64_t time = std::stoll(signature.substr(2));
  EXPECT_EQ(signature, sign_message("0123456789abcdef", "one", time));
  EXPECT_NE(signature, sign_message("0123456789abcdef", "two", time));
}

// printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac key
TEST(Webhook, the_signature_is_what_openssl_computes) {
  EXPECT_EQ(sign_message("key", R"({"a":1})", 1700000000),
            "t=1700000000,v1=a438e398bfafc57e4396bb7fc2304422f0f768e965d073ca313cb52e22e6ad03");
}

TEST(Webhook, tries_again_with_growing_pauses_until_the_receiver_is_back) {
  Receiver receiver;
  receiver.answer({0, 500, 429, 503});
  const auto webhook = std::move(*Webhook::create(fast(), receiver.send()));
  webhook->post("alert");
  webhook->post("next");
  ASSERT_TRUE(eventually([&] { return webhook->counts().delivered == 2; }));
  EXPECT_EQ(receiver.bodies(), (std::vector<std::string>{"alert", "alert", "alert", "alert", "alert", "next"}));
  EXPECT_EQ(webhook->counts().failed_attempts, 4U);
  const auto times = receiver.times();
  for (int i = 0; i < 4; ++i) EXPECT_GE(times[i + 1] - times[i], milliseconds(5 << i)) << i;
}

TEST(Webhook, what_the_receiver_refuses_is_not_sent_again) {
  Receiver receiver;
  receiver.answer({400});
  const auto webhook = std::move(*Webhook::create(fast(), receiver.send()));
  webhook->post("bad");
  webhook->post("good");
  ASSERT_TRUE(eventually([&] { return webhook->counts().delivered == 1; }));
  EXPECT_EQ(webhook->counts().dropped, 1U);
  EXPECT_EQ(receiver.bodies().size(), 2U);
}

TEST(Webhook, a_dead_receiver_delays_nobody_and_fills_no_memory) {
  WebhookOptions options = fast();
  options.queue_max = 4;
  std::atomic<bool> dead{true};
  std::vector<std::string> got;
  std::mutex mutex;
  const auto webhook = std::move(*Webhook::create(options, [&](const outbound::HttpRequest& request) {
    if (dead) return Result<outbound::HttpResponse>(make_error(ErrorCode::kUnavailable, "dead"));
    const std::lock_guard lock(mutex);
    got.push_back(request.body);
    return Result<outbound::HttpResponse>(outbound::HttpResponse{.status = 200, .content_type = {}, .body = {}});
  }));
  const auto begin = Clock::now();
  for (int i = 0; i < 1000; ++i) webhook->post(std::to_string(i));
  EXPECT_LT(Clock::now() - begin, seconds(2));
  EXPECT_LE(webhook->counts().queued, 4U);
  dead = false;
  ASSERT_TRUE(eventually([&] { return webhook->counts().queued == 0 && webhook->counts().delivered >= 3; }));
  const std::lock_guard lock(mutex);
  EXPECT_EQ(got.back(), "999") << "the newest are kept";
}

TEST(Webhook, gives_up_what_is_too_old) {
  WebhookOptions options = fast();
  options.give_up_after = seconds(0);
  Receiver receiver;
  receiver.answer({500});
  const auto webhook = std::move(*Webhook::create(options, receiver.send()));
  webhook->post("old");
  ASSERT_TRUE(eventually([&] { return webhook->counts().dropped == 1; }));
}

// A receiver that accepts and never answers: one attempt ends with its timeout, and so does the destructor.
TEST(Webhook, a_silent_receiver_does_not_hang_the_end) {
  const int listener = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(::bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::listen(listener, 4), 0);
  socklen_t length = sizeof address;
  ::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length);
  WebhookOptions options = fast();
  options.url = "http://127.0.0.1:" + std::to_string(ntohs(address.sin_port)) + "/";
  options.timeout = milliseconds(200);
  const auto begin = Clock::now();
  {
    const auto webhook = std::move(*Webhook::create(options));
    webhook->post("x");
    EXPECT_TRUE(eventually([&] { return webhook->counts().failed_attempts > 0; }));
  }
  EXPECT_LT(Clock::now() - begin, seconds(5));
  ::close(listener);
}

TEST(Webhook, refuses_what_is_no_address) {
  for (const char* url : {"", "ftp://x", "alerts.example", "http://"}) {
    WebhookOptions options;
    options.url = url;
    EXPECT_FALSE(Webhook::create(options)) << url;
  }
}

}  // namespace
}  // namespace cove::anomaly
