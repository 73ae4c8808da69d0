#include "identity_text.h"

#include <ctime>

#include <fmt/chrono.h>
#include <fmt/format.h>

namespace cove::app {

json::value time_json(std::optional<int64_t> seconds) { return seconds ? json::value(*seconds) : json::value(nullptr); }

std::string day_text(std::optional<int64_t> seconds) {
  return seconds ? fmt::format("{:%Y-%m-%d}", fmt::gmtime(static_cast<std::time_t>(*seconds))) : std::string("-");
}

std::string limits_text(const auth::LimitOverrides& limits) {
  std::string out;
  for (const auth::LimitField& field : auth::kLimitFields) {
    const auto& value = limits.*field.override_value;
    if (value) out += fmt::format("{}{}={}", out.empty() ? "" : ",", field.name, *value);
  }
  return out.empty() ? "-" : out;
}

Result<auth::LimitOverrides> parse_limits(const std::vector<std::string>& texts, auth::LimitOverrides limits) {
  for (const std::string& text : texts) TRY(auth::set_limit(limits, text));
  return limits;
}

}  // namespace cove::app
