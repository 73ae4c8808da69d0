#include "services/anomaly/alert.h"

#include <ctime>

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <boost/json.hpp>

#include "base/json.h"

namespace cove::anomaly {
namespace {

std::string time_text(int64_t seconds) {
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(static_cast<std::time_t>(seconds)));
}

std::string_view what_of(Rule rule) {
  switch (rule) {
    case Rule::kRequestsPerMinute: return "requests";
    case Rule::kTokensPerHour: return "tokens";
    case Rule::kFailedLoginsAccount:
    case Rule::kFailedLoginsAddress: return "failed sign-ins";
  }
  return "events";
}

// As Alertmanager's users name them.
std::string_view alert_name(Rule rule) {
  switch (rule) {
    case Rule::kRequestsPerMinute: return "CoveRequestsPerMinute";
    case Rule::kFailedLoginsAccount: return "CoveFailedLoginsAccount";
    case Rule::kFailedLoginsAddress: return "CoveFailedLoginsAddress";
    case Rule::kTokensPerHour: return "CoveTokensPerHour";
  }
  return "Cove";
}

json::object to_object(const Alert& alert) {
  return {{"id", alert.id},
          {"object", "alert"},
          {"rule", to_string(alert.rule)},
          {"state", alert.ended_s ? "resolved" : "active"},
          {"subject", alert.subject},
          {"name", alert.name},
          {"threshold", alert.threshold},
          {"window_s", alert.window_s},
          {"count", alert.count},
          {"started_at", alert.started_s},
          {"ended_at", alert.ended_s ? json::value(*alert.ended_s) : json::value(nullptr)},
          {"summary", summary(alert)}};
}

std::string alertmanager_body(const Alert& alert, int64_t now_s) {
  const json::object labels = {{"alertname", alert_name(alert.rule)},
                               {"service", "cove"},
                               {"severity", "warning"},
                               {"rule", to_string(alert.rule)},
                               {"subject", alert.subject}};
  const json::object annotations = {{"summary", summary(alert)},
                                    {"runbook", fmt::format("docs/operations/alerts.md#{}", to_string(alert.rule))}};
  const json::object entry = {{"labels", labels},
                              {"annotations", annotations},
                              {"startsAt", time_text(alert.started_s)},
                              {"endsAt", time_text(alert.ended_s.value_or(now_s + kAlertmanagerHoldS))}};
  return json::serialize(json::array{entry});
}

}  // namespace

std::string_view to_string(Rule rule) {
  switch (rule) {
    case Rule::kRequestsPerMinute: return "requests_per_minute";
    case Rule::kFailedLoginsAccount: return "failed_logins_account";
    case Rule::kFailedLoginsAddress: return "failed_logins_address";
    case Rule::kTokensPerHour: return "tokens_per_hour";
  }
  return "unknown";
}

std::string summary(const Alert& alert) {
  const bool address = alert.rule == Rule::kFailedLoginsAddress;
  const std::string name = alert.name.empty() ? "" : fmt::format(" ({})", alert.name);
  return fmt::format("more than {} {} in {} s {} {}{}", alert.threshold, what_of(alert.rule), alert.window_s,
                     address                                    ? "from"
                     : alert.rule == Rule::kFailedLoginsAccount ? "as"
                                                                : "by",
                     alert.subject, name);
}

std::string alert_json(const Alert& alert) { return json::serialize(to_object(alert)); }

std::string webhook_body(const Alert& alert, WebhookFormat format, int64_t now_s) {
  if (format == WebhookFormat::kAlertmanager) return alertmanager_body(alert, now_s);
  return json::serialize(json::object{{"event", alert.ended_s ? "resolved" : "raised"}, {"alert", to_object(alert)}});
}

}  // namespace cove::anomaly
