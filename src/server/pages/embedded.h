#pragma once
// Files that the build put into the binary (embed.cmake): the pages of this folder and api/openapi.yaml, by name.

#include <optional>
#include <string_view>

namespace cove::server {

std::optional<std::string_view> embedded_file(std::string_view name);

}  // namespace cove::server
