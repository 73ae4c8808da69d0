#pragma once
// Whether a request can be run at all; asked in submit(), before it is queued. Pure.

#include "base/result.h"
#include "engine/api/engine.h"

namespace cove::engine {

// kInvalidArgument naming the value and its range.
Status check_request(const Request& request, const ModelInfo& model);

}  // namespace cove::engine
