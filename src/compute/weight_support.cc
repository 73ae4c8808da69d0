#include "compute/weight_support.h"

#include <fmt/format.h>

namespace cove {

Status weights_supported(const OpQuery& query, std::string_view backend) {
  const auto& info = dtype_info(query.dtype);
  if (!info.is_float_like) {
    return make_error(ErrorCode::kUnsupported,
                      fmt::format("weights in {} are not supported by the {} backend", info.name, backend));
  }
  if (query.in_features % info.block_elements != 0) {
    return make_error(ErrorCode::kUnsupported, fmt::format("{} weights need rows of a multiple of {} values, not {}",
                                                           info.name, info.block_elements, query.in_features));
  }
  return {};
}

}  // namespace cove
