#pragma once
// Host tensors to device memory: copied into pinned memory by several threads while the copy before is under way,
// uploaded, and brought into the layout of the kernels on the device. Used by the backend while a model is loaded.

#include <array>
#include <functional>
#include <memory>

#include "backends/cuda/backend/buffers.h"
#include "backends/cuda/cuda_backend.h"
#include "backends/cuda/runtime/device.h"
#include "compute/backend.h"

namespace cove::cuda {

class WeightLoader {
 public:
  WeightLoader(Device& device, CudaWeightFormat format) : device_(&device), format_(format) {}

  // Bytes of device memory that linear() takes, with scales and biases.
  uint64_t bytes_of(const LinearWeightDesc& desc) const;
  // Errors: kFailedPrecondition (memory), kUnavailable (the device failed).
  Result<std::unique_ptr<CudaLinear>> linear(const LinearWeightDesc& desc);
  Result<std::unique_ptr<CudaRowTable>> row_table(const TensorView& table);
  Result<std::unique_ptr<CudaBuffer>> vector(std::span<const float> values);
  // Gives the buffers of the copies back.
  void finish();

 private:
  struct Rows {
    const std::byte* data = nullptr;  // host
    int64_t row_bytes = 0;
    int64_t count = 0;
  };
  // use(device memory, first row, rows) for one piece after the other; queued behind that piece's upload.
  using Use = std::function<void(void* memory, int64_t first, int64_t count)>;
  Status stream(const Rows& rows, const Use& use);
  Status reserve(size_t bytes);
  Status take_memory(CudaLinear& linear, const WeightLayout& layout);
  Status load_bias(CudaLinear& linear, const LinearWeightDesc& desc);

  Device* device_;
  CudaWeightFormat format_;
  std::array<std::unique_ptr<PinnedBuffer>, 2> pinned_;
  std::array<std::unique_ptr<CudaBuffer>, 2> staged_;
  size_t piece_ = 0;  // bytes of each
};

// The layout that a layer's parts get. Exposed for tests.
WeightLayout choose_layout(const LinearWeightDesc& desc, CudaWeightFormat format);

}  // namespace cove::cuda
