#pragma once
// Reads the fields of one JSON object and remembers the first thing that is wrong, naming the parameter. A member that
// is null counts as absent, as OpenAI's clients send it.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "base/json.h"
#include "server/dto/api_error.h"

namespace cove::server {

struct NumberRange {
  double min = 0;
  double max = 0;
  enum class Bounds : uint8_t { kClosed, kOpenBelow } bounds = Bounds::kClosed;
};

class FieldReader {
 public:
  // `prefix` stands before the member's name in messages: "stream_options.".
  explicit FieldReader(const json::object& object, std::string prefix = {})
      : object_(&object), prefix_(std::move(prefix)) {}

  bool has(std::string_view name) const { return find(name) != nullptr; }
  std::optional<double> number(std::string_view name, const NumberRange& range);
  std::optional<int64_t> integer(std::string_view name, int64_t min, int64_t max);
  std::optional<bool> boolean(std::string_view name);
  std::optional<std::string> string(std::string_view name);
  const json::array* array(std::string_view name);
  const json::object* object(std::string_view name);
  const json::value* find(std::string_view name) const;

  void fail(ApiErrorKind kind, std::string_view name, std::string message);
  // Takes over an error of a reader for a member.
  void fail(const ApiError& error) {
    if (!error_) error_ = error;
  }
  const std::optional<ApiError>& error() const { return error_; }

 private:
  void wrong_type(std::string_view name, std::string_view expected, const json::value& got);

  const json::object* object_;
  std::string prefix_;
  std::optional<ApiError> error_;
};

// "a string", "null", ... for messages.
std::string_view json_kind(const json::value& value);

// A body as a JSON object. Errors: kInvalidJson with line and column, or when it is no object or not UTF-8.
ApiResult<json::object> parse_body(std::string_view body);

}  // namespace cove::server
