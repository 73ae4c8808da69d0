#pragma once
// What every request's head passes before its body is read. The list and its order are in middleware.cc.

#include <optional>

#include "server/gateway.h"

namespace cove::server {

// An answer refuses the request.
std::optional<http::Response> run_middleware(Gateway& gateway, http::Request& request);

}  // namespace cove::server
