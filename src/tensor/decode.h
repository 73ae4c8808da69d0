#pragma once
// A tensor's values as floats: how loaders read small tensors (norms, biases), whatever the container's format.

#include <span>
#include <vector>

#include "base/result.h"
#include "tensor/tensor_view.h"

namespace cove {

// out.size() must be the tensor's number of elements. Errors: kUnsupported when the format is not float-like.
Status decode_to_f32(const TensorView& view, std::span<float> out);

}  // namespace cove
