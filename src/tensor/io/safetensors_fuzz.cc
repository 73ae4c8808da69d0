// Any bytes as a safetensors file: accepted ones must lie inside the file, every byte of their data readable.
#include <cstdlib>

#include "tensor/formats/codec.h"
#include "tensor/io/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto file = std::as_bytes(std::span(data, size));
  const auto header = cove::parse_safetensors(file, "fuzz.safetensors");
  if (!header) return 0;
  for (const cove::TensorInfo& tensor : header->tensors) {
    if (tensor.offset > size || tensor.bytes > size - tensor.offset || tensor.shape.elements() < 0) std::abort();
    const cove::DTypeInfo& info = cove::dtype_info(tensor.dtype);
    if (!info.is_float_like) continue;
    if (cove::dtype_bytes(tensor.dtype, tensor.shape.elements()) != static_cast<int64_t>(tensor.bytes)) std::abort();
    (void)cove::find_not_finite(tensor.dtype, file.subspan(tensor.offset, tensor.bytes));
  }
  return 0;
}
