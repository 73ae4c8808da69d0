#include "server/dto/field_reader.h"

#include <cmath>

#include <fmt/format.h>

#include "base/utf8.h"

namespace cove::server {
namespace {

constexpr int kDepthMax = 64;

// An integer given as 5 or 5.0; nothing for 5.5 or what int64 cannot hold.
std::optional<int64_t> whole_number(const json::value& value) {
  if (const auto* integer = value.if_int64()) return *integer;
  if (const auto* number = value.if_double()) {
    if (std::trunc(*number) == *number && std::abs(*number) < 9.0e18) return static_cast<int64_t>(*number);
  }
  return std::nullopt;
}

}  // namespace

std::string_view json_kind(const json::value& value) {
  switch (value.kind()) {
    case json::kind::null: return "null";
    case json::kind::bool_: return "a boolean";
    case json::kind::int64:
    case json::kind::uint64: return "an integer";
    case json::kind::double_: return "a number";
    case json::kind::string: return "a string";
    case json::kind::array: return "an array";
    case json::kind::object: return "an object";
  }
  return "?";
}

const json::value* FieldReader::find(std::string_view name) const {
  const json::value* value = object_->if_contains(name);
  return value == nullptr || value->is_null() ? nullptr : value;
}

void FieldReader::fail(ApiErrorKind kind, std::string_view name, std::string message) {
  if (!error_) error_ = ApiError{kind, std::move(message), prefix_ + std::string(name)};
}

void FieldReader::wrong_type(std::string_view name, std::string_view expected, const json::value& got) {
  fail(ApiErrorKind::kInvalidType, name,
       fmt::format("'{}{}' must be {}, but is {}", prefix_, name, expected, json_kind(got)));
}

std::optional<double> FieldReader::number(std::string_view name, const NumberRange& range) {
  const json::value* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number()) {
    wrong_type(name, "a number", *value);
    return std::nullopt;
  }
  const double number = value->to_number<double>();
  const bool open = range.bounds == NumberRange::Bounds::kOpenBelow;
  if (!(open ? number > range.min : number >= range.min) || !(number <= range.max)) {
    fail(ApiErrorKind::kInvalidValue, name,
         fmt::format("'{}{}' must be {} {} and at most {}, but is {}", prefix_, name, open ? "more than" : "at least",
                     range.min, range.max, number));
    return std::nullopt;
  }
  return number;
}

std::optional<int64_t> FieldReader::integer(std::string_view name, int64_t min, int64_t max) {
  const json::value* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number()) {
    wrong_type(name, "an integer", *value);
    return std::nullopt;
  }
  const auto integer = whole_number(*value);
  if (!integer && value->is_double() && std::abs(value->get_double()) < 9.0e18) {
    wrong_type(name, "an integer", *value);
    return std::nullopt;
  }
  if (!integer || *integer < min || *integer > max) {
    fail(ApiErrorKind::kInvalidValue, name,
         fmt::format("'{}{}' must be {} to {}, but is {}", prefix_, name, min, max, value->to_number<double>()));
    return std::nullopt;
  }
  return integer;
}

std::optional<bool> FieldReader::boolean(std::string_view name) {
  const json::value* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (const bool* flag = value->if_bool()) return *flag;
  wrong_type(name, "a boolean", *value);
  return std::nullopt;
}

std::optional<std::string> FieldReader::string(std::string_view name) {
  const json::value* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (const json::string* text = value->if_string()) return std::string(*text);
  wrong_type(name, "a string", *value);
  return std::nullopt;
}

const json::array* FieldReader::array(std::string_view name) {
  const json::value* value = find(name);
  if (value == nullptr) return nullptr;
  if (!value->is_array()) wrong_type(name, "an array", *value);
  return value->if_array();
}

const json::object* FieldReader::object(std::string_view name) {
  const json::value* value = find(name);
  if (value == nullptr) return nullptr;
  if (!value->is_object()) wrong_type(name, "an object", *value);
  return value->if_object();
}

ApiResult<json::object> parse_body(std::string_view body) {
  const auto refuse = [](std::string message) {
    return tl::make_unexpected(ApiError{ApiErrorKind::kInvalidJson, std::move(message), {}});
  };
  if (const size_t bad = find_invalid_utf8(body); bad != std::string_view::npos) {
    return refuse(fmt::format("the request body is not valid UTF-8 (at byte {})", bad));
  }
  if (body.find_first_not_of(" \t\r\n") == std::string_view::npos)
    return refuse("the request body is empty; it must be a JSON object");
  auto value = parse_json(body, {.depth_max = kDepthMax});
  if (!value) return refuse("the request body is " + value.error().message);
  if (!value->is_object())
    return refuse(fmt::format("the request body must be a JSON object, but is {}", json_kind(*value)));
  return std::move(value->as_object());
}

}  // namespace cove::server
