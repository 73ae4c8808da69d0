#pragma once
// An alert as everybody sees it: the log, /v1/admin/alerts and the webhook.

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace cove::anomaly {

// Each has an anchor of its name in docs/operations/alerts.md.
enum class Rule : uint8_t { kRequestsPerMinute, kFailedLoginsAccount, kFailedLoginsAddress, kTokensPerHour };
inline constexpr std::array kRules = {Rule::kRequestsPerMinute, Rule::kFailedLoginsAccount, Rule::kFailedLoginsAddress,
                                      Rule::kTokensPerHour};
std::string_view to_string(Rule rule);  // "requests_per_minute"

struct Alert {
  uint64_t id = 0;  // counts up from 1 in each process
  Rule rule = Rule::kRequestsPerMinute;
  std::string subject;  // identity ("key:12"), account or address
  std::string name;     // for people; may be empty
  int64_t threshold = 0;
  int64_t window_s = 0;
  int64_t started_s = 0;           // Unix time
  std::optional<int64_t> ended_s;  // absent = it lasts
  int64_t count = 0;               // events since it began, with those that raised it
};

// "more than 100 requests in 60 s by key:12 (alice)"
std::string summary(const Alert& alert);
// One object, as /v1/admin/alerts lists it.
std::string alert_json(const Alert& alert);

// What the webhook posts.
enum class WebhookFormat : uint8_t { kJson, kAlertmanager };
// kJson: {"event":"raised"|"resolved","alert":{...}}. kAlertmanager: the array that Alertmanager's /api/v2/alerts
// takes; an alert that lasts is announced until `now_s` + kAlertmanagerHold_s and has to be sent again before.
inline constexpr int64_t kAlertmanagerHoldS = 300;
std::string webhook_body(const Alert& alert, WebhookFormat format, int64_t now_s);

}  // namespace cove::anomaly
