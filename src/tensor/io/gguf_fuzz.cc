// Any bytes as a GGUF file: metadata is readable in every way, tensors that pass the check lie inside the file.
#include <cstdlib>

#include "tensor/formats/codec.h"
#include "tensor/io/gguf.h"

namespace {

void read_metadata(const cove::GgufHeader& header) {
  const cove::GgufMetadata metadata(header);
  for (const auto& [key, value] : header.metadata) {
    (void)metadata.string(key);
    (void)metadata.integer(key);
    (void)metadata.number(key);
    (void)metadata.boolean(key);
    const auto strings = metadata.strings(key);
    if (strings && strings->size() != value.count) std::abort();
    (void)metadata.integers(key);
    (void)metadata.floats(key);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto file = std::as_bytes(std::span(data, size));
  const auto header = cove::parse_gguf(file, "fuzz.gguf");
  if (!header) return 0;
  read_metadata(*header);
  if (!cove::check_gguf_data(*header, size, "fuzz.gguf")) return 0;
  for (const cove::TensorInfo& tensor : header->tensors) {
    if (tensor.offset > size || tensor.bytes > size - tensor.offset) std::abort();
    if (!cove::dtype_info(tensor.dtype).is_float_like) continue;
    if (cove::dtype_bytes(tensor.dtype, tensor.shape.elements()) != static_cast<int64_t>(tensor.bytes)) std::abort();
    (void)cove::find_not_finite(tensor.dtype, file.subspan(tensor.offset, tensor.bytes));
  }
  return 0;
}
