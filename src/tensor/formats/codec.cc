#include "tensor/formats/codec.h"

#include "base/check.h"
#include "tensor/formats/rows.h"

namespace cove {
namespace {

const formats::Codec& codec(DType dtype) {
  switch (dtype) {
    case DType::kF32: return formats::kF32Codec;
    case DType::kF16: return formats::kF16Codec;
    case DType::kBF16: return formats::kBF16Codec;
    case DType::kQ8_0: return formats::kQ8_0Codec;
    case DType::kQ4_0: return formats::kQ4_0Codec;
    case DType::kI8:
    case DType::kU8:
    case DType::kI32:
    case DType::kI64:
    case DType::kE4M3:
    case DType::kOpaque: break;
  }
  check_failed(__FILE__, __LINE__, "is_float_like", dtype_info(dtype).name);
}

void check_size(DType dtype, size_t values, size_t bytes) {
  COVE_CHECK(dtype_bytes(dtype, static_cast<int64_t>(values)) == static_cast<int64_t>(bytes));
}

}  // namespace

void decode(DType dtype, std::span<const std::byte> in, std::span<float> out) {
  check_size(dtype, out.size(), in.size());
  codec(dtype).decode(in, out);
}

Status encode(DType dtype, std::span<const float> in, std::span<std::byte> out) {
  check_size(dtype, in.size(), out.size());
  return codec(dtype).encode(in, out);
}

size_t find_not_finite(DType dtype, std::span<const std::byte> in) { return codec(dtype).find_not_finite(in); }

}  // namespace cove
