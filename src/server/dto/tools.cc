// Tools of a chat request: checked for shape, then given to the template as they came.
#include <fmt/format.h>

#include "server/dto/chat_request.h"

namespace cove::server {
namespace {

constexpr size_t kToolsMax = 128;
constexpr size_t kNameBytesMax = 64;

bool is_function_name(std::string_view name) {
  return !name.empty() && name.size() <= kNameBytesMax &&
         name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.") ==
             std::string_view::npos;
}

std::optional<ApiError> check_tool(const json::value& value, const std::string& name) {
  const json::object* tool = value.if_object();
  if (tool == nullptr) {
    return ApiError{ApiErrorKind::kInvalidType,
                    fmt::format("'{}' must be an object, but is {}", name, json_kind(value)), name};
  }
  FieldReader reader(*tool, name + ".");
  const auto type = reader.string("type");
  if (!type && !reader.error()) {
    reader.fail(ApiErrorKind::kMissingParameter, "type", fmt::format("'{}.type' is required: function", name));
  } else if (type && *type != "function") {
    reader.fail(ApiErrorKind::kUnsupportedParameter, "type",
                fmt::format("'{}' is of type '{}'; only function is supported", name, *type));
  }
  const json::object* function = reader.object("function");
  if (reader.error()) return reader.error();
  if (function == nullptr) {
    return ApiError{ApiErrorKind::kMissingParameter, fmt::format("'{}.function' is required", name),
                    name + ".function"};
  }
  FieldReader inner(*function, name + ".function.");
  const auto function_name = inner.string("name");
  (void)inner.string("description");
  (void)inner.object("parameters");
  if (!inner.error() && (!function_name || !is_function_name(*function_name))) {
    inner.fail(ApiErrorKind::kInvalidValue, "name",
               fmt::format("'{}.function.name' must be 1 to {} letters, digits, '_', '-' or '.'", name, kNameBytesMax));
  }
  return inner.error();
}

}  // namespace

ApiResult<json::array> parse_tools(const json::array& tools) {
  if (tools.size() > kToolsMax) {
    return tl::make_unexpected(
        ApiError{ApiErrorKind::kInvalidValue, fmt::format("'tools' holds at most {} functions", kToolsMax), "tools"});
  }
  for (size_t i = 0; i < tools.size(); ++i) {
    if (auto error = check_tool(tools[i], fmt::format("tools[{}]", i))) return tl::make_unexpected(std::move(*error));
  }
  return tools;
}

}  // namespace cove::server
