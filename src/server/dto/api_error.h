#pragma once
// What the API answers when it refuses: one row of api/errors.def with a message and, where one is to blame, the
// parameter.

#include <string>
#include <string_view>

#include <tl/expected.hpp>

#include "base/result.h"
#include "server/http/message.h"

namespace cove::server {

enum class ApiErrorKind : uint8_t {
#define COVE_API_ERROR(id, status, type, code, when) id,
#include "../api/errors.def"
#undef COVE_API_ERROR
};

struct ApiErrorRow {
  int status;
  std::string_view type;
  std::string_view code;
};
const ApiErrorRow& api_error_row(ApiErrorKind kind);

struct ApiError {
  ApiErrorKind kind = ApiErrorKind::kInternal;
  std::string message;
  std::string param;  // "messages[2].content"; empty = null
};

template <class T>
using ApiResult = tl::expected<T, ApiError>;

// {"error":{"message","type","param","code"}}
std::string to_json(const ApiError& error);
// With Retry-After where a retry may help.
http::Response to_response(const ApiError& error);
// The kind for an error of the layers below.
ApiError from_error(const Error& error);
// The kind for a bare HTTP status of the HTTP layer.
ApiErrorKind kind_of_status(int status);

}  // namespace cove::server
