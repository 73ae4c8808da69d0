#include "services/auth/limit_values.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>
#include <boost/json/object.hpp>

namespace cove::auth {
namespace {

constexpr int64_t kLimitMax = 1'000'000'000'000'000;

std::string names() {
  std::string out;
  for (const LimitField& field : kLimitFields) out.append(out.empty() ? "" : ", ").append(field.name);
  return out;
}

const LimitField* find_field(std::string_view name) {
  const auto* field = std::ranges::find(kLimitFields, name, &LimitField::name);
  return field == kLimitFields.end() ? nullptr : field;
}

Error unknown(std::string_view name) {
  return invalid_argument(fmt::format("'{}' is no limit: there are {}", name, names()));
}

}  // namespace

LimitValues with_overrides(const LimitValues& defaults, const LimitOverrides& overrides) {
  LimitValues out = defaults;
  for (const LimitField& field : kLimitFields) {
    if (overrides.*field.override_value) out.*field.value = *(overrides.*field.override_value);
  }
  return out;
}

Result<LimitOverrides> limits_from_json(const json::value& value) {
  if (!value.is_object()) return invalid_argument("limits are an object: {\"requests_per_minute\": 60}");
  LimitOverrides out;
  for (const auto& member : value.get_object()) {
    const LimitField* field = find_field(member.key());
    if (field == nullptr) return unknown(member.key());
    if (member.value().is_null()) continue;
    const int64_t* number = member.value().if_int64();
    if (number == nullptr || *number < 0 || *number > kLimitMax)
      return invalid_argument(fmt::format("{} is a whole number, 0 to 10^15; 0 = no limit", field->name));
    out.*field->override_value = *number;
  }
  return out;
}

json::object limits_json(const LimitOverrides& overrides) {
  json::object out;
  for (const LimitField& field : kLimitFields) {
    if (overrides.*field.override_value) out[field.name] = *(overrides.*field.override_value);
  }
  return out;
}

Status set_limit(LimitOverrides& overrides, std::string_view text) {
  const size_t equals = std::min(text.find('='), text.size());
  const LimitField* field = find_field(text.substr(0, equals));
  if (field == nullptr) return unknown(text.substr(0, equals));
  const std::string_view digits = text.substr(std::min(equals + 1, text.size()));
  int64_t number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (error != std::errc() || end != digits.data() + digits.size() || number < 0 || number > kLimitMax)
    return invalid_argument(fmt::format("'{}': write {}=NUMBER; 0 = no limit", text, field->name));
  overrides.*field->override_value = number;
  return {};
}

}  // namespace cove::auth
