#include "services/anomaly/webhook.h"

#include <algorithm>
#include <ctime>

#include <fmt/format.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/log.h"

namespace cove::anomaly {
namespace {

// Scheme and host only: paths and queries of webhooks are often secrets.
std::string host_of(const std::string& url) {
  const size_t begin = url.find("://");
  const size_t end = begin == std::string::npos ? 0 : url.find_first_of("/?", begin + 3);
  std::string host = url.substr(0, end);
  const size_t at = host.rfind('@');
  return at == std::string::npos ? host : host.substr(0, begin + 3) + host.substr(at + 1);
}

std::string without_url(std::string message, const std::string& url) {
  if (const size_t at = message.find(url); at != std::string::npos) message.replace(at, url.size(), host_of(url));
  return message;
}

}  // namespace

std::string sign_message(std::string_view secret, std::string_view body, int64_t now_s) {
  const std::string text = fmt::format("{}.{}", now_s, body);
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int length = 0;
  HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
       reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest, &length);
  std::string out = fmt::format("t={},v1=", now_s);
  for (unsigned int i = 0; i < length; ++i) out += fmt::format("{:02x}", digest[i]);
  return out;
}

Result<std::unique_ptr<Webhook>> Webhook::create(const WebhookOptions& options, Send send) {
  const bool known = options.url.starts_with("http://") || options.url.starts_with("https://");
  if (!known || options.url.size() < 10)
    return invalid_argument("anomaly.webhook must be an http:// or https:// address");
  std::unique_ptr<Webhook> webhook(new Webhook(options, std::move(send)));
  webhook->thread_ = std::thread([raw = webhook.get()] { raw->run(); });
  return webhook;
}

Webhook::~Webhook() {
  size_t left = 0;
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
    left = queue_.size();
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
  if (left > 0) log::warn("anomaly.webhook_stopped", {{"undelivered", left}, {"to", host_of(options_.url)}});
}

void Webhook::post(std::string body) {
  {
    const std::lock_guard lock(mutex_);
    if (queue_.size() >= options_.queue_max) {
      queue_.pop_front();
      ++counts_.dropped;
    }
    queue_.push_back({std::move(body), std::chrono::steady_clock::now()});
  }
  wake_.notify_all();
}

Webhook::Counts Webhook::counts() const {
  const std::lock_guard lock(mutex_);
  Counts counts = counts_;
  counts.queued = queue_.size();
  return counts;
}

void Webhook::run() {
  std::unique_lock lock(mutex_);
  auto pause = options_.first_pause;
  while (!stop_) {
    if (queue_.empty()) {
      wake_.wait(lock);
      continue;
    }
    const Message message = queue_.front();
    queue_.pop_front();
    lock.unlock();
    Outcome outcome = deliver(message.body);
    const bool old = std::chrono::steady_clock::now() - message.since >= options_.give_up_after;
    if (outcome == Outcome::kAgain && old) {
      log::error("anomaly.webhook_given_up", {{"to", host_of(options_.url)}, {"effect", "an alert was not delivered"}});
      outcome = Outcome::kRefused;
    }
    lock.lock();
    if (outcome == Outcome::kDelivered) {
      ++counts_.delivered;
      pause = options_.first_pause;
    } else if (outcome == Outcome::kRefused) {
      ++counts_.dropped;
    } else {
      ++counts_.failed_attempts;
      // Back to the front: alerts arrive in order. A queue that filled meanwhile has newer things to tell.
      if (queue_.size() < options_.queue_max) {
        queue_.push_front(message);
      } else {
        ++counts_.dropped;
      }
      wake_.wait_for(lock, pause, [this] { return stop_; });
      pause = std::min(pause * 2, options_.pause_max);
    }
  }
}

Webhook::Outcome Webhook::deliver(const std::string& body) {
  outbound::HttpRequest request{.method = "POST", .url = options_.url, .body = body, .ca_file = options_.ca_file};
  request.timeout = options_.timeout;
  request.headers = {{"Content-Type", "application/json"}, {"User-Agent", "cove/" COVE_VERSION}};
  if (!options_.secret.empty())
    request.headers.emplace_back("X-Cove-Signature", sign_message(options_.secret, body, std::time(nullptr)));
  const auto response = send_(request);
  const std::string to = host_of(options_.url);
  if (!response) {
    log::warn("anomaly.webhook_failed", {{"to", to}, {"error", without_url(response.error().message, options_.url)}});
    return Outcome::kAgain;
  }
  const int status = response->status;
  if (status >= 200 && status < 300) return Outcome::kDelivered;
  if (status >= 400 && status < 500 && status != 408 && status != 429) {
    log::error("anomaly.webhook_refused", {{"to", to},
                                           {"status", status},
                                           {"effect", "this alert was not delivered"},
                                           {"next", "check anomaly.webhook and its format"}});
    return Outcome::kRefused;
  }
  log::warn("anomaly.webhook_failed", {{"to", to}, {"status", status}});
  return Outcome::kAgain;
}

}  // namespace cove::anomaly
