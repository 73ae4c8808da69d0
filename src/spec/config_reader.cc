#include "spec/config_reader.h"

#include <cmath>

#include <fmt/format.h>
#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>

namespace cove {
namespace {

constexpr int64_t kTokenIdMax = (int64_t{1} << 31) - 1;
constexpr size_t kTokenIdsMax = 1000;

std::string shown(const json::value& value) {
  constexpr size_t kShownMax = 60;
  if (value.is_double()) return fmt::to_string(value.get_double());
  std::string text = json::serialize(value);
  if (text.size() > kShownMax) text = text.substr(0, kShownMax) + "...";
  return text;
}

std::optional<int64_t> as_integer(const json::value& value) {
  if (value.is_int64()) return value.get_int64();
  return std::nullopt;  // beyond int64, no number, or written with a fraction
}

std::optional<double> as_number(const json::value& value) {
  if (value.is_int64()) return static_cast<double>(value.get_int64());
  if (value.is_uint64()) return static_cast<double>(value.get_uint64());
  if (value.is_double()) return value.get_double();
  return std::nullopt;
}

}  // namespace

Error ConfigReader::corrupt(std::string_view key, std::string_view problem) const {
  return data_corrupt(fmt::format("{}: {} {}", where_, key, problem));
}

Error ConfigReader::unsupported(std::string_view key, std::string_view problem) const {
  return make_error(ErrorCode::kUnsupported, fmt::format("{}: {} {}", where_, key, problem));
}

const json::value* ConfigReader::find(std::string_view key) const {
  const json::value* found = find_member(value_, key);
  return found == nullptr || found->is_null() ? nullptr : found;
}

Result<std::optional<int64_t>> ConfigReader::integer(std::string_view key, Range<int64_t> range) const {
  const json::value* found = find(key);
  if (found == nullptr) return std::optional<int64_t>();
  const std::optional<int64_t> value = as_integer(*found);
  if (!value || *value < range.min || *value > range.max) {
    return corrupt(key, fmt::format("is {}, must be an integer from {} to {}", shown(*found), range.min, range.max));
  }
  return value;
}

Result<int64_t> ConfigReader::required_integer(std::string_view key, Range<int64_t> range) const {
  TRY_ASSIGN(const std::optional<int64_t> value, integer(key, range));
  if (!value) return corrupt(key, "is missing");
  return *value;
}

Result<std::optional<double>> ConfigReader::number(std::string_view key, Range<double> range) const {
  const json::value* found = find(key);
  if (found == nullptr) return std::optional<double>();
  const std::optional<double> value = as_number(*found);
  if (!value || !std::isfinite(*value) || *value < range.min || *value > range.max) {
    return corrupt(key, fmt::format("is {}, must be a number from {} to {}", shown(*found), range.min, range.max));
  }
  return value;
}

Result<std::optional<bool>> ConfigReader::boolean(std::string_view key) const {
  const json::value* found = find(key);
  if (found == nullptr) return std::optional<bool>();
  if (!found->is_bool()) return corrupt(key, fmt::format("is {}, must be true or false", shown(*found)));
  return std::optional<bool>(found->get_bool());
}

Result<std::optional<std::string>> ConfigReader::string(std::string_view key) const {
  const json::value* found = find(key);
  if (found == nullptr) return std::optional<std::string>();
  if (!found->is_string()) return corrupt(key, fmt::format("is {}, must be a string", shown(*found)));
  return std::optional<std::string>(std::string(found->get_string()));
}

Result<std::vector<int32_t>> ConfigReader::token_ids(std::string_view key) const {
  const json::value* found = find(key);
  if (found == nullptr) return std::vector<int32_t>();
  const json::array alone = {*found};
  const json::array& items = found->is_array() ? found->get_array() : alone;
  std::vector<int32_t> ids;
  for (const json::value& item : items) {
    const std::optional<int64_t> id = as_integer(item);
    if (!id || *id < 0 || *id > kTokenIdMax || items.size() > kTokenIdsMax) {
      return corrupt(key, fmt::format("is {}, must be a token id or a list of them", shown(*found)));
    }
    ids.push_back(static_cast<int32_t>(*id));
  }
  return ids;
}

Result<std::optional<ConfigReader>> ConfigReader::object(std::string_view key) const {
  const json::value* found = find(key);
  if (found == nullptr) return std::optional<ConfigReader>();
  if (!found->is_object()) return corrupt(key, fmt::format("is {}, must be an object", shown(*found)));
  return std::optional<ConfigReader>(ConfigReader(*found, fmt::format("{}: {}", where_, key)));
}

}  // namespace cove
