#pragma once
// Error values for everything that can go wrong in the world: every fallible function of every layer returns
// Result<T>. A bug is a COVE_CHECK (base/check.h). Our code never throws.

#include <string>
#include <string_view>
#include <utility>

#include <tl/expected.hpp>

namespace cove {

enum class ErrorCode {
  kInvalidArgument,     // the caller's input is wrong: HTTP 400
  kNotFound,            // HTTP 404
  kUnauthenticated,     // HTTP 401
  kPermissionDenied,    // HTTP 403
  kResourceExhausted,   // a limit or a full queue: HTTP 429
  kUnavailable,         // loading, draining or broken, a retry may help: HTTP 503
  kFailedPrecondition,  // the machine or configuration does not allow it (does not fit in memory, missing file)
  kDataCorrupt,         // a file is damaged or hostile
  kUnsupported,         // well-formed, but not something Cove can do
  kCancelled,
  kIo,
  kInternal,
};

std::string_view to_string(ErrorCode code);

struct Error {
  ErrorCode code = ErrorCode::kInternal;
  std::string message;  // what was wrong, where, and what to do
};

// A value or an Error. A class, not an alias, so that ignoring one is a compiler warning.
template <class T>
class [[nodiscard]] Result : public tl::expected<T, Error> {
 public:
  using Base = tl::expected<T, Error>;
  using Base::Base;
  Result(Error error) : Base(tl::unexpect, std::move(error)) {}  // NOLINT: implicit on purpose
};

using Status = Result<void>;

inline Error make_error(ErrorCode code, std::string message) { return Error{code, std::move(message)}; }
inline Error invalid_argument(std::string message) { return {ErrorCode::kInvalidArgument, std::move(message)}; }
inline Error data_corrupt(std::string message) { return {ErrorCode::kDataCorrupt, std::move(message)}; }

// Puts a context in front of an error's message: "model.safetensors: header is not JSON".
inline Error with_context(Error error, std::string_view context) {
  error.message = std::string(context) + ": " + error.message;
  return error;
}

}  // namespace cove

#define COVE_CONCAT_INNER(a, b) a##b
#define COVE_CONCAT(a, b) COVE_CONCAT_INNER(a, b)

// TRY(expr): returns the error of a Status to the caller.
#define TRY(expr)                                                    \
  do {                                                               \
    auto cove_try_status = (expr);                                   \
    if (!cove_try_status) return std::move(cove_try_status).error(); \
  } while (0)

// TRY_ASSIGN(auto x, expr): x is the value of expr, or its error is returned to the caller.
#define TRY_ASSIGN(target, expr) COVE_TRY_ASSIGN(COVE_CONCAT(cove_try_, __LINE__), target, expr)
#define COVE_TRY_ASSIGN(temp, target, expr)  \
  auto temp = (expr);                        \
  if (!temp) return std::move(temp).error(); \
  target = std::move(*temp)
