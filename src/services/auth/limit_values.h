#pragma once
// The five limits of an identity, and how the database and requests write them: {"requests_per_minute":60, ...}.

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"

namespace cove::auth {

// 0 = no limit.
struct LimitValues {
  int64_t requests_per_minute = 0;
  int64_t tokens_per_minute = 0;
  int64_t requests_per_day = 0;
  int64_t tokens_per_day = 0;
  int64_t concurrent_requests = 0;
};

// What one key or user has of its own; absent = the configuration's.
struct LimitOverrides {
  std::optional<int64_t> requests_per_minute{};
  std::optional<int64_t> tokens_per_minute{};
  std::optional<int64_t> requests_per_day{};
  std::optional<int64_t> tokens_per_day{};
  std::optional<int64_t> concurrent_requests{};

  bool operator==(const LimitOverrides&) const = default;
};

struct LimitField {
  std::string_view name;
  int64_t LimitValues::* value;
  std::optional<int64_t> LimitOverrides::* override_value;
};
inline constexpr std::array kLimitFields = {
    LimitField{"requests_per_minute", &LimitValues::requests_per_minute, &LimitOverrides::requests_per_minute},
    LimitField{"tokens_per_minute", &LimitValues::tokens_per_minute, &LimitOverrides::tokens_per_minute},
    LimitField{"requests_per_day", &LimitValues::requests_per_day, &LimitOverrides::requests_per_day},
    LimitField{"tokens_per_day", &LimitValues::tokens_per_day, &LimitOverrides::tokens_per_day},
    LimitField{"concurrent_requests", &LimitValues::concurrent_requests, &LimitOverrides::concurrent_requests},
};

LimitValues with_overrides(const LimitValues& defaults, const LimitOverrides& overrides);
// Members that are null are absent. Errors: kInvalidArgument naming the member that is unknown, no integer or out of
// 0..10^15.
Result<LimitOverrides> limits_from_json(const json::value& value);
json::object limits_json(const LimitOverrides& overrides);
// Sets one from "requests_per_minute=60", as the command line writes it. Errors: kInvalidArgument.
Status set_limit(LimitOverrides& overrides, std::string_view text);

}  // namespace cove::auth
