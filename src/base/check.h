#pragma once
// COVE_CHECK: for what only a bug can cause. Prints place and condition and aborts, in every build type.

#include <string_view>

namespace cove {
[[noreturn]] void check_failed(const char* file, int line, const char* condition, std::string_view detail);
}  // namespace cove

#define COVE_CHECK(condition) ((condition) ? void(0) : ::cove::check_failed(__FILE__, __LINE__, #condition, {}))
#define COVE_CHECK_MSG(condition, detail) \
  ((condition) ? void(0) : ::cove::check_failed(__FILE__, __LINE__, #condition, (detail)))
