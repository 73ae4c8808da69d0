#include "tensor/io/mapped_weights.h"

#include <fmt/format.h>

#include "base/check.h"
#include "tensor/io/printable.h"

namespace cove {

Status MappedWeights::add(const std::string& file_name, FileBytes file, std::vector<TensorInfo> tensors) {
  for (TensorInfo& tensor : tensors) {
    const auto [place, inserted] = index_by_name_.emplace(tensor.name, tensors_.size());
    if (!inserted) {
      return data_corrupt(fmt::format("tensor {} is in both {} and {}", printable_name(tensor.name),
                                      tensors_[place->second].file, file_name));
    }
    tensors_.push_back(std::move(tensor));
  }
  files_.emplace(file_name, std::move(file));
  return {};
}

const TensorInfo* MappedWeights::find(std::string_view name) const {
  const auto found = index_by_name_.find(std::string(name));
  return found == index_by_name_.end() ? nullptr : &tensors_[found->second];
}

std::span<const std::byte> MappedWeights::data(const TensorInfo& tensor) const {
  const auto found = files_.find(tensor.file);
  COVE_CHECK(found != files_.end());
  return found->second.bytes().subspan(tensor.offset, tensor.bytes);
}

void MappedWeights::release(const TensorInfo& tensor) const {
  const auto found = files_.find(tensor.file);
  COVE_CHECK(found != files_.end());
  found->second.release(found->second.bytes().subspan(tensor.offset, tensor.bytes));
}

uint64_t MappedWeights::held_bytes() const {
  uint64_t sum = 0;
  for (const auto& [name, file] : files_) sum += file.held_bytes();
  return sum;
}

TensorView view_of(const WeightSource& source, const TensorInfo& tensor) {
  if (tensor.dtype == DType::kOpaque) return {};
  const std::span<const std::byte> bytes = source.data(tensor);
  return {const_cast<std::byte*>(bytes.data()), tensor.dtype, tensor.shape};
}

}  // namespace cove
