#pragma once
// JSON as Boost.JSON values (objects keep their key order). The one place where parsing is done, with limits and
// with an error that says line and column. Include <boost/json.hpp> pieces you need beside it.

#include <cstddef>
#include <string_view>

#include <boost/json/value.hpp>

#include "base/result.h"

namespace cove {

namespace json = boost::json;

struct JsonLimits {
  int depth_max = 64;
  size_t bytes_max = size_t{1} << 30;
};

// Parses one complete UTF-8 JSON text (RFC 8259: no comments, no trailing commas, no duplicate-key check).
// Errors: kInvalidArgument "line 3, column 14: ...".
Result<json::value> parse_json(std::string_view text, const JsonLimits& limits = {});

// Member access without exceptions: nullptr when the member is missing (or `value` is no object).
const json::value* find_member(const json::value& value, std::string_view key);

}  // namespace cove
