#pragma once
// The tensor types of ggml, as data: enough to know how many bytes a tensor takes. Internal to io/.

#include <cstdint>
#include <optional>
#include <string_view>

#include "tensor/dtype.h"

namespace cove {

struct GgufTensorType {
  uint32_t id;
  std::string_view name;  // as ggml writes it: "Q4_K"
  uint64_t block_elements;
  uint64_t block_bytes;
  DType dtype;  // kOpaque: listed only
};

const GgufTensorType* find_gguf_tensor_type(uint32_t id);
const GgufTensorType* find_gguf_tensor_type(DType dtype);

}  // namespace cove
