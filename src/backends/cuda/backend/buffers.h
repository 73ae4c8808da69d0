#pragma once
// What the CUDA backend keeps in device memory. Everything goes back when destroyed; the Device outlives it.

#include <memory>

#include "backends/cuda/kernels/pack.h"
#include "backends/cuda/kernels/rows.h"
#include "backends/cuda/runtime/device.h"
#include "compute/backend.h"

namespace cove::cuda {

class CudaBuffer final : public DeviceBuffer {
 public:
  CudaBuffer(Device& device, void* memory, size_t bytes) : device_(&device), memory_(memory), bytes_(bytes) {}
  ~CudaBuffer() override { device_->release(memory_); }
  CudaBuffer(const CudaBuffer&) = delete;
  CudaBuffer& operator=(const CudaBuffer&) = delete;

  static Result<std::unique_ptr<CudaBuffer>> make(Device& device, size_t bytes) {
    TRY_ASSIGN(void* memory, device.allocate(bytes));
    return std::make_unique<CudaBuffer>(device, memory, bytes);
  }
  void* data() const override { return memory_; }
  size_t bytes() const override { return bytes_; }

 private:
  Device* device_;
  void* memory_;
  size_t bytes_;
};

// Host memory for copies.
class PinnedBuffer {
 public:
  PinnedBuffer(Device& device, void* memory, size_t bytes) : device_(&device), memory_(memory), bytes_(bytes) {}
  ~PinnedBuffer() { device_->release_pinned(memory_); }
  PinnedBuffer(const PinnedBuffer&) = delete;
  PinnedBuffer& operator=(const PinnedBuffer&) = delete;

  static Result<std::unique_ptr<PinnedBuffer>> make(Device& device, size_t bytes) {
    TRY_ASSIGN(void* memory, device.allocate_pinned(bytes));
    return std::make_unique<PinnedBuffer>(device, memory, bytes);
  }
  std::byte* data() const { return static_cast<std::byte*>(memory_); }
  size_t bytes() const { return bytes_; }

 private:
  Device* device_;
  void* memory_;
  size_t bytes_;
};

struct CudaLinear final : LinearWeight {
  DeviceWeight weight;
  std::unique_ptr<CudaBuffer> values;
  std::unique_ptr<CudaBuffer> scales;
  std::unique_ptr<CudaBuffer> bias;
};

struct CudaRowTable final : RowTable {
  DType dtype = DType::kBF16;
  int64_t row_bytes = 0;
  std::unique_ptr<CudaBuffer> values;
};

// [layers][2: keys, values][pages][kv_heads][page_tokens][head_dim]; of e4m3 behind it the powers of two, bytes
// [layers][rows / kPowerRows][2: keys, values][kPowerRows].
struct CudaKvCache final : KvCache {
  std::unique_ptr<CudaBuffer> values;

  LayerCache layer(int64_t index) const {
    const int64_t side = rows() * row_bytes();
    auto* begin = static_cast<std::byte*>(values->data()) + 2 * index * side;
    return {.keys = begin,
            .values = begin + side,
            .kv_heads = layout.kv_heads,
            .page_tokens = layout.page_tokens,
            .head_dim = layout.head_dim,
            .is_f32 = layout.dtype == DType::kF32,
            .powers = powers() == nullptr ? nullptr : powers() + 2 * index * rows()};
  }
  int64_t rows() const { return pages * layout.kv_heads * layout.page_tokens; }  // of keys, or values, of a layer
  int64_t row_bytes() const { return dtype_bytes(layout.dtype, layout.head_dim); }
  std::byte* powers() const {
    if (layout.dtype != DType::kE4M3) return nullptr;
    return static_cast<std::byte*>(values->data()) + 2 * layout.layers * rows() * row_bytes();
  }
};

}  // namespace cove::cuda
