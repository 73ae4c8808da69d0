#pragma once
// What every request's head passes before its body is read. The list and its order are in middleware.cc.

#include <optional>

#include "server/gateway.h"

namespace cove::server {

// An answer refuses the request.
std::optional<http::Response> run_middleware(Gateway& gateway, http::Request& request);
// For a request whose token names a key that must be fetched first (RequestContext::waiting_token): fetches it on the
// work queue, then the rest of the list, then the route.
void authenticate_later(Gateway& gateway, const std::shared_ptr<http::Exchange>& exchange);

}  // namespace cove::server
