#include "tensor/decode.h"

#include <fmt/format.h>

#include "base/check.h"
#include "tensor/formats/codec.h"

namespace cove {

Status decode_to_f32(const TensorView& view, std::span<float> out) {
  COVE_CHECK(static_cast<int64_t>(out.size()) == view.shape.elements());
  if (!dtype_info(view.dtype).is_float_like) {
    return make_error(ErrorCode::kUnsupported,
                      fmt::format("values of type {} cannot be read as numbers here", dtype_info(view.dtype).name));
  }
  decode(view.dtype, {view.as<const std::byte>(), static_cast<size_t>(view.bytes())}, out);
  return {};
}

}  // namespace cove
