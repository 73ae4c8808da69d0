#pragma once
// The host arrays of one step, packed into one upload: positions, slots, slices, page table, rows, sampling. Places
// depend on the order and sizes of what is added alone, so that equal steps see equal addresses and a recorded graph
// can be run again. The page table, which grows, has a region of its own. Steps take turns with two sets of host
// memory: one can be filled while the other is still to be copied; on the device one is enough, since steps and their
// copies run in order.

#include <array>
#include <cstring>
#include <memory>
#include <span>

#include "backends/cuda/backend/buffers.h"
#include "base/check.h"

namespace cove::cuda {

class StepArrays {
 public:
  explicit StepArrays(Device& device) : device_(&device) {}

  // Room for `bytes` of arrays and `table_bytes` of page table. True: the memory is another than before. At most one
  // step may be under way.
  Result<bool> begin(size_t bytes, size_t table_bytes) {
    used_ = 0;
    table_used_ = 0;
    turn_ = 1 - turn_;
    if (device_memory_ != nullptr && bytes <= region_ && table_bytes <= table_region_) return false;
    TRY(device_->synchronize());
    region_ = std::max(region_, grown(bytes));
    table_region_ = std::max(table_region_, grown(table_bytes));
    device_memory_ = nullptr;
    pinned_ = {};
    TRY_ASSIGN(device_memory_, CudaBuffer::make(*device_, region_ + table_region_));
    for (auto& pinned : pinned_) {
      TRY_ASSIGN(pinned, PinnedBuffer::make(*device_, region_ + table_region_));
    }
    return true;
  }

  // The array's address on the device, valid when the step runs.
  template <class T>
  const T* add(std::span<const T> values) {
    static_assert(std::is_trivially_copyable_v<T>);
    const size_t at = used_;
    used_ += rounded(values.size_bytes());
    COVE_CHECK(used_ <= region_);
    if (!values.empty()) std::memcpy(host() + at, values.data(), values.size_bytes());
    return reinterpret_cast<const T*>(bytes() + at);
  }
  const int32_t* set_page_table(std::span<const int32_t> pages) {
    table_used_ = pages.size_bytes();
    COVE_CHECK(table_used_ <= table_region_);
    if (!pages.empty()) std::memcpy(host() + region_, pages.data(), table_used_);
    return reinterpret_cast<const int32_t*>(bytes() + region_);
  }

  // Queues the copies.
  void upload() {
    if (used_ > 0) device_->upload(bytes(), host(), used_);
    if (table_used_ > 0) device_->upload(bytes() + region_, host() + region_, table_used_);
  }

  static constexpr size_t rounded(size_t bytes) { return (bytes + 15) / 16 * 16; }

 private:
  static size_t grown(size_t bytes) {
    size_t size = size_t{1} << 20;
    while (size < bytes) size *= 2;
    return size;
  }
  std::byte* host() const { return pinned_[turn_]->data(); }
  std::byte* bytes() const { return static_cast<std::byte*>(device_memory_->data()); }

  Device* device_;
  std::unique_ptr<CudaBuffer> device_memory_;
  std::array<std::unique_ptr<PinnedBuffer>, 2> pinned_;
  size_t turn_ = 0;  // of pinned_
  size_t region_ = 0;
  size_t table_region_ = 0;
  size_t used_ = 0;
  size_t table_used_ = 0;
};

}  // namespace cove::cuda
