#pragma once
// Users and keys as the commands print them.

#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "services/auth/limit_values.h"

namespace cove::app {

json::value time_json(std::optional<int64_t> seconds);
// "2026-11-25", or "-".
std::string day_text(std::optional<int64_t> seconds);
// "requests_per_minute=60,tokens_per_day=1000", or "-".
std::string limits_text(const auth::LimitOverrides& limits);
// Of several "--limit NAME=NUMBER". Errors: kInvalidArgument.
Result<auth::LimitOverrides> parse_limits(const std::vector<std::string>& texts, auth::LimitOverrides limits = {});

}  // namespace cove::app
