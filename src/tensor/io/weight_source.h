#pragma once
// Named tensors of a model file or directory, whatever the container: safetensors (sharded or not) or GGUF. The bytes
// are mapped or, of an encrypted model, decrypted once; they are never copied; whoever keeps a TensorView's data keeps
// the WeightSource alive.

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "tensor/tensor_view.h"

namespace cove {

struct TensorInfo {
  std::string name;
  DType dtype = DType::kF32;
  Shape shape;          // row-major, outermost first: a linear layer is [out, in] whatever the container
  std::string file;     // file name without directory
  uint64_t offset = 0;  // of the first byte, from the beginning of the file
  uint64_t bytes = 0;
  std::string type_name;  // as the container calls it: "BF16", "Q4_K"; tells kOpaque types apart
};

class WeightSource {
 public:
  virtual ~WeightSource() = default;
  virtual std::span<const TensorInfo> tensors() const = 0;
  // nullptr when there is no such tensor.
  virtual const TensorInfo* find(std::string_view name) const = 0;
  // The mapped bytes of a tensor of this source; alignment is only that of the file.
  virtual std::span<const std::byte> data(const TensorInfo& tensor) const = 0;
  // Nobody reads this tensor any more (a backend has its own copy): its memory goes back to the system. Of an encrypted
  // model its bytes are gone afterwards.
  virtual void release(const TensorInfo&) const {}
  // Memory taken by decrypted files; 0 for mapped ones, which the system drops and reads again as it likes.
  virtual uint64_t held_bytes() const { return 0; }
};

// The tensor as a view of the mapped bytes (not to be written to). A null view when dtype is kOpaque.
TensorView view_of(const WeightSource& source, const TensorInfo& tensor);

}  // namespace cove
