// What the keywords of a schema say, one by one: which are known, bounds, types.
#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>

#include "text/grammar/schema_compiler.h"

namespace cove::text::grammar {
namespace {

constexpr std::array<std::string_view, 18> kAnnotations = {
    "title", "description", "default",          "examples",        "example",   "$schema",
    "$id",   "$comment",    "$anchor",          "readOnly",        "writeOnly", "deprecated",
    "$defs", "definitions", "contentMediaType", "contentEncoding", "strict",    "name"};
constexpr std::array<std::string_view, 28> kKnown = {"type",
                                                     "enum",
                                                     "const",
                                                     "$ref",
                                                     "anyOf",
                                                     "oneOf",
                                                     "allOf",
                                                     "nullable",
                                                     "properties",
                                                     "required",
                                                     "items",
                                                     "prefixItems",
                                                     "minItems",
                                                     "maxItems",
                                                     "pattern",
                                                     "minLength",
                                                     "maxLength",
                                                     "format",
                                                     "minimum",
                                                     "maximum",
                                                     "exclusiveMinimum",
                                                     "exclusiveMaximum",
                                                     "additionalProperties",
                                                     "additionalItems",
                                                     "propertyOrdering",
                                                     "x-order",
                                                     "discriminator",
                                                     "xml"};

template <size_t N>
bool contains(const std::array<std::string_view, N>& list, std::string_view word) {
  return std::ranges::find(list, word) != list.end();
}

constexpr int64_t kCountMax = 10'000;

// A whole number of JSON, however it is written.
std::optional<int64_t> whole(const json::value& value) {
  if (const int64_t* integer = value.if_int64()) return *integer;
  const double* number = value.if_double();
  constexpr double kExact = 9007199254740992.0;
  if (number != nullptr && std::nearbyint(*number) == *number && std::abs(*number) <= kExact)
    return static_cast<int64_t>(*number);
  return std::nullopt;
}

Result<std::optional<int64_t>> whole_member(const json::object& schema, std::string_view name,
                                            const std::string& path) {
  const json::value* value = schema.if_contains(name);
  if (value == nullptr) return std::optional<int64_t>();
  const auto number = whole(*value);
  if (!number) return invalid_argument(fmt::format("{}/{}: only whole numbers are supported as bounds", path, name));
  return number;
}

}  // namespace

Status check_keywords(const json::object& schema, const std::string& path) {
  for (const auto& member : schema) {
    const std::string_view key = member.key();
    if (!contains(kAnnotations, key) && !contains(kKnown, key) && !key.starts_with("x-"))
      return invalid_argument(fmt::format("{}: the keyword '{}' is not supported", path, key));
  }
  return {};
}

std::optional<std::string> other_keyword(const json::object& schema, std::initializer_list<std::string_view> allowed) {
  for (const auto& member : schema) {
    const std::string_view key = member.key();
    if (!contains(kAnnotations, key) && std::ranges::find(allowed, key) == allowed.end()) return std::string(key);
  }
  return std::nullopt;
}

std::string_view implied_type(const json::object& schema) {
  constexpr std::pair<std::string_view, std::string_view> kSigns[] = {
      {"properties", "object"}, {"required", "object"},         {"additionalProperties", "object"},
      {"items", "array"},       {"prefixItems", "array"},       {"minItems", "array"},
      {"maxItems", "array"},    {"pattern", "string"},          {"minLength", "string"},
      {"maxLength", "string"},  {"format", "string"},           {"minimum", "number"},
      {"maximum", "number"},    {"exclusiveMinimum", "number"}, {"exclusiveMaximum", "number"}};
  for (const auto& [keyword, type] : kSigns) {
    if (schema.contains(keyword)) return type;
  }
  return {};
}

bool has_type(const json::value& value, std::string_view type) {
  if (type == "object") return value.is_object();
  if (type == "array") return value.is_array();
  if (type == "string") return value.is_string();
  if (type == "boolean") return value.is_bool();
  if (type == "null") return value.is_null();
  if (type == "integer") return value.is_uint64() || whole(value).has_value();
  return type == "number" && value.is_number();
}

Result<NumberBounds> number_bounds(const json::object& schema, const std::string& path) {
  NumberBounds bounds;
  TRY_ASSIGN(bounds.low, whole_member(schema, "minimum", path));
  TRY_ASSIGN(bounds.high, whole_member(schema, "maximum", path));
  TRY_ASSIGN(const auto above, whole_member(schema, "exclusiveMinimum", path));
  TRY_ASSIGN(const auto below, whole_member(schema, "exclusiveMaximum", path));
  if (above && (!bounds.low || *above >= *bounds.low)) {
    bounds.low = above;
    bounds.low_edge = NumberBounds::Edge::kExclusive;
  }
  if (below && (!bounds.high || *below <= *bounds.high)) {
    bounds.high = below;
    bounds.high_edge = NumberBounds::Edge::kExclusive;
  }
  return bounds;
}

Result<CountBounds> count_bounds(const json::object& schema, std::string_view low, std::string_view high,
                                 const std::string& path) {
  TRY_ASSIGN(const auto least, whole_member(schema, low, path));
  TRY_ASSIGN(const auto most, whole_member(schema, high, path));
  const CountBounds bounds{.low = least.value_or(0), .high = most.value_or(-1)};
  if (bounds.low < 0 || (most && *most < 0)) return invalid_argument(fmt::format("{}: a negative number of", path));
  if (most && bounds.low > *most) return invalid_argument(fmt::format("{}: {} is larger than {}", path, low, high));
  if (bounds.low > kCountMax || bounds.high > kCountMax)
    return invalid_argument(fmt::format("{}: {} and {} may be {} at most", path, low, high, kCountMax));
  return bounds;
}

std::string_view pattern_of_format(std::string_view format) {
  constexpr std::string_view kTime = R"(([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,9})?(Z|[+-]([01]\d|2[0-3]):[0-5]\d))";
  constexpr std::string_view kDate =
      R"(\d{4}-((01|03|05|07|08|10|12)-(0[1-9]|[12]\d|3[01])|(04|06|09|11)-(0[1-9]|[12]\d|30)|02-(0[1-9]|1\d|2[0-8])))";
  static const std::string kDateTime = fmt::format("{}T{}", kDate, kTime);
  if (format == "date") return kDate;
  if (format == "time") return kTime;
  if (format == "date-time") return kDateTime;
  if (format == "uuid") return "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}";
  if (format == "ipv4") return R"(((25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)\.){3}(25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d))";
  return {};
}

}  // namespace cove::text::grammar
