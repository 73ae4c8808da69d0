// Any bytes as the head of a sealed file, whose whole size is also given by the input.
#include <cstdlib>
#include <cstring>

#include "tensor/io/seal_manifest.h"
#include "tensor/io/sealed_header.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  uint64_t more = 0;  // of the file, behind what is given
  if (size < sizeof(more)) return 0;
  std::memcpy(&more, data, sizeof(more));
  more &= (uint64_t{1} << 50) - 1;
  const auto head = std::as_bytes(std::span(data + sizeof(more), size - sizeof(more)));
  const uint64_t file_bytes = head.size() + more;
  const auto header = cove::parse_sealed_header(head, file_bytes, "fuzz");
  if (header) {
    const uint64_t chunks = header->chunk_count();
    if (chunks == 0 || header->chunk_bytes == 0) std::abort();
    if (header->data_offset + header->plain_bytes + chunks * 16 != file_bytes) std::abort();
    if ((chunks - 1) * header->chunk_bytes > header->plain_bytes) std::abort();
  }
  (void)cove::parse_manifest({reinterpret_cast<const char*>(head.data()), head.size()});
  return 0;
}
