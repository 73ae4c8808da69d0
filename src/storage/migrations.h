#pragma once
// The schema, one step a line. Never edit a step that was released: append. `PRAGMA user_version` counts the applied
// ones.

#include <span>
#include <string_view>

namespace cove::storage {

std::span<const std::string_view> migrations();

}  // namespace cove::storage
