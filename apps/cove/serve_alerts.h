#pragma once
// The anomaly rules of `cove serve` and the webhook that they report to.

#include <cstdint>
#include <memory>

#include "base/config.h"
#include "services/anomaly/watch.h"
#include "services/anomaly/webhook.h"

namespace cove::app {

class AlertCenter {
 public:
  // Errors: kInvalidArgument, kIo naming the key of the configuration.
  static Result<std::unique_ptr<AlertCenter>> open(const Config& config);

  anomaly::Watch& watch() { return *watch_; }
  // Null without anomaly.webhook.
  anomaly::Webhook* webhook() { return webhook_.get(); }
  // To be called about once a second. Ends alerts that calmed down; tells Alertmanager, which forgets what it is not
  // reminded of, about those that last.
  void tick(int64_t now_s);

 private:
  AlertCenter() = default;
  void post(const anomaly::Alert& alert, int64_t now_s);

  anomaly::WebhookFormat format_ = anomaly::WebhookFormat::kJson;
  int64_t reminded_s_ = 0;
  std::unique_ptr<anomaly::Webhook> webhook_;
  std::unique_ptr<anomaly::Watch> watch_;
};

}  // namespace cove::app
