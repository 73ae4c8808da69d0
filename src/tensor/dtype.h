#pragma once
// Element and block formats of tensors, as data: one row per format. Codecs are in tensor/formats/.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace cove {

enum class DType : uint8_t {
  kF32,
  kF16,
  kBF16,
  kI8,
  kU8,
  kI32,
  kI64,
  kQ8_0,    // 32 values: f16 scale, 32 int8                      (34 bytes, as in ggml)
  kQ4_0,    // 32 values: f16 scale, 32 4-bit values minus 8       (18 bytes, as in ggml)
  kE4M3,    // 4 bits of exponent, 3 of significand; only in key-value caches (KvLayout)
  kOpaque,  // a container's type that is listed but cannot be used; TensorInfo::type_name says which
};

struct DTypeInfo {
  DType dtype;
  std::string_view name;   // "f32", "bf16", "q8_0"
  int64_t block_elements;  // values that share one block; 1 for plain types
  int64_t block_bytes;
  bool is_float_like;  // can be decoded to float: formats/codec.h
};

const DTypeInfo& dtype_info(DType dtype);
std::optional<DType> dtype_from_name(std::string_view name);

// Bytes of `elements` consecutive values; elements must be a multiple of block_elements. 0 for kOpaque.
int64_t dtype_bytes(DType dtype, int64_t elements);

}  // namespace cove
