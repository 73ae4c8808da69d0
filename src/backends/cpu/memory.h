#pragma once
// Aligned host memory of the CPU backend. Used by cpu_weights, kv_cache and the scratch of cpu_backend.

#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/result.h"
#include "compute/backend.h"

namespace cove::cpu {

// 64-byte aligned, uninitialised (zero where the kernel gives fresh pages; do not rely on it).
class AlignedBytes {
 public:
  AlignedBytes() = default;
  static Result<AlignedBytes> allocate(size_t bytes);

  std::byte* data() const { return data_.get(); }
  size_t bytes() const { return bytes_; }
  template <class T>
  T* as() const {
    return reinterpret_cast<T*>(data_.get());
  }
  // Makes room for `bytes`; what was there is lost. Only grows, so that a step like one before allocates nothing.
  void reserve(size_t bytes);

 private:
  struct Free {
    void operator()(std::byte* memory) const;
  };
  std::unique_ptr<std::byte, Free> data_;
  size_t bytes_ = 0;
};

class CpuBuffer final : public DeviceBuffer {
 public:
  CpuBuffer(AlignedBytes memory, size_t bytes) : memory_(std::move(memory)), bytes_(bytes) {}
  void* data() const override { return memory_.data(); }
  size_t bytes() const override { return bytes_; }

 private:
  AlignedBytes memory_;
  size_t bytes_;
};

}  // namespace cove::cpu
