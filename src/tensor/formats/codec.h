#pragma once
// Scalar codecs of every format that can be decoded to float: the reference that fast kernels are tested against, and
// what loading, verifying and converting use. One row per format in codec.cc.
//
//   f32, f16, bf16  little-endian values
//   q8_0  block of 32 values: f16 scale d, 32 int8 q;                        value = d * q
//   q4_0  block of 32 values: f16 scale d, 16 bytes, value i in the low half of byte i (i < 16) or the high half of
//         byte i - 16;                                                       value = d * (q - 8)

#include <cstddef>
#include <span>

#include "base/result.h"
#include "tensor/dtype.h"
#include "tensor/tensor_view.h"

namespace cove {

// in: dtype_bytes(dtype, out.size()) bytes, any alignment. The dtype must be float-like.
void decode(DType dtype, std::span<const std::byte> in, std::span<float> out);

// out: dtype_bytes(dtype, in.size()) bytes, any alignment. The dtype must be float-like. Rounds to nearest; the
// quantised formats choose scales as ggml's reference does. Errors (quantised formats): kInvalidArgument naming the
// index of a value that is not finite, or of a block whose scale half precision cannot hold.
Status encode(DType dtype, std::span<const float> in, std::span<std::byte> out);

// Index of the first block whose scale is infinite or NaN, or of the first element for plain formats; npos when all are
// finite.
inline constexpr size_t kAllFinite = static_cast<size_t>(-1);
size_t find_not_finite(DType dtype, std::span<const std::byte> in);

}  // namespace cove
