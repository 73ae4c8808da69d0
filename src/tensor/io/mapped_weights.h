#pragma once
// A WeightSource over files in memory (mapped, or decrypted), whatever their container. Internal to io/: made by
// open_safetensors and open_gguf.

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/file_source.h"
#include "tensor/io/weight_source.h"

namespace cove {

class MappedWeights final : public WeightSource {
 public:
  // Takes over a file and its tensors (offsets within it, checked to lie inside; their `file` is file_name).
  // Errors: kDataCorrupt when a tensor of that name came with an earlier file.
  Status add(const std::string& file_name, FileBytes file, std::vector<TensorInfo> tensors);

  std::span<const TensorInfo> tensors() const override { return tensors_; }
  const TensorInfo* find(std::string_view name) const override;
  std::span<const std::byte> data(const TensorInfo& tensor) const override;
  void release(const TensorInfo& tensor) const override;
  uint64_t held_bytes() const override;

 private:
  std::vector<TensorInfo> tensors_;
  std::unordered_map<std::string, size_t> index_by_name_;
  std::unordered_map<std::string, FileBytes> files_;  // by file name
};

}  // namespace cove
