#pragma once
// What the reference backend keeps: everything decoded to f32 when it is loaded. Used by reference_backend.cc and its
// tests.

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "compute/backend.h"

namespace cove::reference {

class HostBuffer final : public DeviceBuffer {
 public:
  explicit HostBuffer(size_t bytes) : storage_(bytes / sizeof(uint64_t) + 1), bytes_(bytes) {}
  void* data() const override { return const_cast<uint64_t*>(storage_.data()); }
  size_t bytes() const override { return bytes_; }

 private:
  std::vector<uint64_t> storage_;  // 8-byte aligned, zeroed
  size_t bytes_;
};

struct ReferenceLinear final : LinearWeight {
  std::vector<float> weight;  // [out_features, in_features]
  std::vector<float> bias;    // [out_features], zeros where a part has none
};

struct ReferenceRowTable final : RowTable {
  std::vector<float> values;  // [rows, width]
};

// [layers][2: keys, values][pages * page_tokens][kv_heads * head_dim], each value rounded to layout.dtype when it is
// written.
struct ReferenceKvCache final : KvCache {
  std::vector<float> values;

  enum Side { kKeys = 0, kValues = 1 };
  int64_t width() const { return layout.kv_heads * layout.head_dim; }
  float* at(int64_t layer, Side side, int64_t slot) const {
    const int64_t row = (layer * 2 + side) * pages * layout.page_tokens + slot;
    return const_cast<float*>(values.data()) + row * width();
  }
};

// All values of a float-like tensor, row-major.
std::vector<float> decode_tensor(const TensorView& tensor);

// The nearest value that `dtype` (f32, f16, bf16) can hold.
float round_to(DType dtype, float value);

// A head's keys or values of one position as a cache of that dtype holds them (KvLayout::dtype).
void round_head(DType dtype, std::span<const float> head, float* out);

}  // namespace cove::reference
