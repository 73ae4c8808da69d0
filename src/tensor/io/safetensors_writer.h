#pragma once
// Writes a safetensors file tensor by tensor, so that weights larger than memory can be streamed.

#include <map>
#include <string>
#include <vector>

#include "tensor/io/output_file.h"
#include "tensor/io/safetensors.h"

namespace cove {

struct PlannedTensor {
  std::string name;
  DType dtype = DType::kF32;
  Shape shape;
};

class SafetensorsWriter {
 public:
  // Writes the header; the data must then come in the order of `tensors`. Errors: kUnsupported for types the format
  // does not have, kInvalidArgument for a name that comes twice.
  static Result<SafetensorsWriter> create(const std::filesystem::path& path, const std::vector<PlannedTensor>& tensors,
                                          const std::map<std::string, std::string>& metadata = {});
  // The next bytes of the data, cut anywhere.
  Status append(std::span<const std::byte> bytes) { return file_.write(bytes); }
  // Errors: kInvalidArgument when more or fewer bytes came than the tensors have.
  Status finish();

 private:
  SafetensorsWriter(OutputFile file, uint64_t total_bytes) : file_(std::move(file)), total_bytes_(total_bytes) {}
  OutputFile file_;
  uint64_t total_bytes_;  // of the finished file
};

}  // namespace cove
