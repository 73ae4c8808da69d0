#include "server/dto/api_error.h"

#include "base/json_text.h"

namespace cove::server {
namespace {

constexpr ApiErrorRow kRows[] = {
#define COVE_API_ERROR(id, status, type, code, when) {status, type, code},
#include "../api/errors.def"
#undef COVE_API_ERROR
};

}  // namespace

const ApiErrorRow& api_error_row(ApiErrorKind kind) { return kRows[static_cast<size_t>(kind)]; }

std::string to_json(const ApiError& error) {
  const ApiErrorRow& row = api_error_row(error.kind);
  std::string out = R"({"error":{"message":)";
  append_json_string(out, error.message);
  out += R"(,"type":)";
  append_json_string(out, row.type);
  out += R"(,"param":)";
  if (error.param.empty()) {
    out += "null";
  } else {
    append_json_string(out, error.param);
  }
  out += R"(,"code":)";
  append_json_string(out, row.code);
  out += "}}";
  return out;
}

http::Response to_response(const ApiError& error) {
  http::Response response;
  response.status = api_error_row(error.kind).status;
  response.body = to_json(error);
  response.error = api_error_row(error.kind).code;
  if (response.status == 429) response.headers.push_back({"Retry-After", "1"});
  if (response.status == 503) response.headers.push_back({"Retry-After", "5"});
  if (response.status == 401) response.headers.push_back({"WWW-Authenticate", "Bearer"});
  return response;
}

ApiError from_error(const Error& error) {
  switch (error.code) {
    case ErrorCode::kInvalidArgument: return {ApiErrorKind::kInvalidValue, error.message, {}};
    case ErrorCode::kUnsupported: return {ApiErrorKind::kUnsupportedParameter, error.message, {}};
    case ErrorCode::kNotFound: return {ApiErrorKind::kUnknownUrl, error.message, {}};
    case ErrorCode::kUnauthenticated: return {ApiErrorKind::kInvalidKey, error.message, {}};
    case ErrorCode::kPermissionDenied: return {ApiErrorKind::kForbidden, error.message, {}};
    case ErrorCode::kResourceExhausted: return {ApiErrorKind::kQueueFull, error.message, {}};
    case ErrorCode::kUnavailable: return {ApiErrorKind::kUnavailable, error.message, {}};
    default: return {ApiErrorKind::kInternal, error.message, {}};
  }
}

ApiErrorKind kind_of_status(int status) {
  switch (status) {
    case 404: return ApiErrorKind::kUnknownUrl;
    case 405: return ApiErrorKind::kMethodNotAllowed;
    case 408: return ApiErrorKind::kRequestTimeout;
    case 413: return ApiErrorKind::kBodyTooLarge;
    case 431: return ApiErrorKind::kHeadTooLarge;
    case 503: return ApiErrorKind::kUnavailable;
    case 500: return ApiErrorKind::kInternal;
    default: return ApiErrorKind::kBadRequest;
  }
}

}  // namespace cove::server
