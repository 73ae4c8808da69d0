#include "serve_alerts.h"

#include <cerrno>
#include <cstring>
#include <ctime>

#include <fmt/format.h>
#include <sys/stat.h>

#include "base/file.h"

namespace cove::app {
namespace {

constexpr int64_t kRemindEveryS = 60;
constexpr size_t kSecretBytesMax = 4096;

Result<std::string> read_secret(const std::string& path) {
  constexpr const char* kSetting = "anomaly.webhook_secret_file";
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0)
    return make_error(ErrorCode::kIo, fmt::format("{}: {}: {}", kSetting, path, std::strerror(errno)));
  if ((info.st_mode & S_IRWXO) != 0) {
    return make_error(ErrorCode::kFailedPrecondition,
                      fmt::format("{}: every account of this machine may open '{}'; 'chmod 600' it", kSetting, path));
  }
  auto text = read_file(path, kSecretBytesMax);
  if (!text) return make_error(text.error().code, fmt::format("{}: {}", kSetting, text.error().message));
  while (!text->empty() && (text->back() == '\n' || text->back() == '\r')) text->pop_back();
  if (text->size() < 16) {
    return invalid_argument(fmt::format("{}: '{}' holds {} bytes; a secret needs at least 16: openssl rand -hex 32",
                                        kSetting, path, text->size()));
  }
  return text;
}

Result<std::unique_ptr<anomaly::Webhook>> open_webhook(const Config& config) {
  anomaly::WebhookOptions options;
  options.url = config.string("anomaly.webhook");
  options.ca_file = config.string("anomaly.webhook_ca");
  const std::string& secret_file = config.string("anomaly.webhook_secret_file");
  if (options.url.empty()) {
    if (!secret_file.empty()) return invalid_argument("anomaly.webhook_secret_file is set but anomaly.webhook is not");
    return std::unique_ptr<anomaly::Webhook>();
  }
  if (!secret_file.empty()) {
    TRY_ASSIGN(options.secret, read_secret(secret_file));
  }
  return anomaly::Webhook::create(options);
}

}  // namespace

Result<std::unique_ptr<AlertCenter>> AlertCenter::open(const Config& config) {
  std::unique_ptr<AlertCenter> center(new AlertCenter());
  if (config.string("anomaly.webhook_format") == "alertmanager")
    center->format_ = anomaly::WebhookFormat::kAlertmanager;
  TRY_ASSIGN(center->webhook_, open_webhook(config));
  const anomaly::WatchOptions options{.requests_per_minute = config.integer("anomaly.requests_per_minute"),
                                      .tokens_per_hour = config.integer("anomaly.tokens_per_hour"),
                                      .failed_logins_account = config.integer("anomaly.failed_logins_account"),
                                      .failed_logins_address = config.integer("anomaly.failed_logins_address")};
  center->watch_ = std::make_unique<anomaly::Watch>(
      options, [raw = center.get()](const anomaly::Alert& alert) { raw->post(alert, std::time(nullptr)); });
  return center;
}

void AlertCenter::post(const anomaly::Alert& alert, int64_t now_s) {
  if (webhook_ != nullptr) webhook_->post(anomaly::webhook_body(alert, format_, now_s));
}

void AlertCenter::tick(int64_t now_s) {
  watch_->sweep();
  if (format_ != anomaly::WebhookFormat::kAlertmanager || now_s - reminded_s_ < kRemindEveryS) return;
  reminded_s_ = now_s;
  for (const anomaly::Alert& alert : watch_->active()) post(alert, now_s);
}

}  // namespace cove::app
