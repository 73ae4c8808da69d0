#include "base/json.h"

#include <algorithm>

#include <fmt/format.h>
#include <boost/json/stream_parser.hpp>

namespace cove {

Result<json::value> parse_json(std::string_view text, const JsonLimits& limits) {
  if (text.size() > limits.bytes_max) {
    return invalid_argument(
        fmt::format("JSON of {} bytes is larger than the limit of {}", text.size(), limits.bytes_max));
  }
  json::parse_options options;
  options.max_depth = static_cast<std::size_t>(limits.depth_max);
  json::stream_parser parser({}, options);
  json::error_code error;
  std::size_t consumed = parser.write_some(text.data(), text.size(), error);
  if (!error && consumed < text.size()) {
    const std::size_t rest = text.find_first_not_of(" \t\r\n", consumed);
    if (rest != std::string_view::npos) {
      consumed = rest;
      error = json::error::extra_data;
    }
  }
  if (!error) parser.finish(error);
  if (!error) return parser.release();
  consumed = std::min(consumed, text.size());
  const std::string_view before = text.substr(0, consumed);
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const std::size_t line_begin = before.rfind('\n');
  const std::size_t column = consumed - (line_begin == std::string_view::npos ? 0 : line_begin + 1) + 1;
  return invalid_argument(fmt::format("not valid JSON at line {}, column {}: {}", line, column, error.message()));
}

const json::value* find_member(const json::value& value, std::string_view key) {
  const json::object* object = value.if_object();
  return object != nullptr ? object->if_contains(key) : nullptr;
}

}  // namespace cove
