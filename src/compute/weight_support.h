#pragma once
// The part of Backend::supports that backends share. Called by them.

#include <string_view>

#include "base/result.h"
#include "compute/backend.h"

namespace cove {

// kLinear and kEmbed: weights in any float-like format, rows of whole blocks. `backend` is for the message
// (kUnsupported).
Status weights_supported(const OpQuery& query, std::string_view backend);

}  // namespace cove
