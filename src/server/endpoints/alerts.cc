// GET /v1/admin/alerts: what the anomaly rules see now, and what they saw.
#include "base/json_text.h"
#include "server/endpoints/endpoints.h"
#include "services/anomaly/watch.h"

namespace cove::server {
namespace {

std::string rules_json(const anomaly::Watch& watch) {
  std::string out;
  for (const anomaly::Rule rule : anomaly::kRules) {
    const anomaly::RateLimit limit = watch.limit(rule);
    out += out.empty() ? "" : ",";
    out += R"({"rule":)";
    append_json_string(out, anomaly::to_string(rule));
    out += R"(,"threshold":)";
    append_json_number(out, limit.threshold);
    out += R"(,"window_s":)";
    append_json_number(out, limit.window_ms / 1000);
    out += R"(,"raised":)";
    append_json_number(out, static_cast<int64_t>(watch.raised(rule)));
    out += "}";
  }
  return out;
}

std::string alerts_json(const anomaly::Watch& watch) {
  std::string out;
  for (const auto& list : {watch.active(), watch.history()}) {
    for (const anomaly::Alert& alert : list) out += (out.empty() ? "" : ",") + anomaly::alert_json(alert);
  }
  return out;
}

}  // namespace

void list_alerts(Gateway& gateway, const ExchangePtr& exchange) {
  const anomaly::Watch* watch = gateway.services().watch;
  const std::string alerts = watch == nullptr ? std::string() : alerts_json(*watch);
  const std::string rules = watch == nullptr ? std::string() : rules_json(*watch);
  respond(exchange, {.headers = {{"Cache-Control", "no-store"}},
                     .body = R"({"object":"list","data":[)" + alerts + R"(],"rules":[)" + rules + "]}"});
}

}  // namespace cove::server
