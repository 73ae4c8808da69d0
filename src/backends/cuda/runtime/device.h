#pragma once
// One GPU as the backend uses it: memory, copies, one stream, graphs. No CUDA types, so that the backend above it also
// runs on the emulator. Not thread-safe. open_device is in device_cuda.cc; tests use cuda/emulator/emulated_device.h.
//
// What is queued runs in order, after the call has returned. The first error sticks and is returned by synchronize()
// and wait_for().

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/result.h"

namespace cove::cuda {

struct DeviceFacts {
  std::string name;
  int compute_major = 0;
  int compute_minor = 0;
  int multiprocessors = 1;
  uint64_t memory_total = 0;
};

// Recorded work, ready to be queued at once.
class Graph {
 public:
  virtual ~Graph() = default;
};

class Device {
 public:
  virtual ~Device() = default;

  virtual const DeviceFacts& facts() const = 0;
  virtual uint64_t memory_free() const = 0;
  virtual void bind() = 0;  // makes it the calling thread's device

  // Errors: kFailedPrecondition naming how much was asked for and how much is free. At least 256-byte aligned.
  virtual Result<void*> allocate(size_t bytes) = 0;
  virtual void release(void* memory) = 0;
  virtual Result<void*> allocate_pinned(size_t bytes) = 0;  // host memory that copies run from and to at full speed
  virtual void release_pinned(void* memory) = 0;

  virtual void* stream() = 0;
  virtual void upload(void* to, const void* from_pinned, size_t bytes) = 0;
  virtual void download(void* to_pinned, const void* from, size_t bytes) = 0;
  virtual void copy_inside(void* to, const void* from, size_t bytes) = 0;  // device to device
  virtual void clear(void* memory, size_t bytes) = 0;                      // to zero bytes
  // What a launch returned: null, or the error's text.
  virtual void note(const char* launch_error) = 0;
  virtual Status synchronize() = 0;

  // Marks a place in the queue (0..3); wait_for returns when it has been passed where it was marked last.
  virtual void mark(int place) = 0;
  virtual Status wait_for(int place) = 0;
  // Device time between two marks that have been passed; seconds.
  virtual double seconds_between(int first_place, int second_place) = 0;

  // Records what `work` queues instead of running it; work only launches kernels. Null when this cannot be had: run
  // work itself.
  virtual std::unique_ptr<Graph> record(const std::function<void()>& work) = 0;
  virtual void run(Graph& graph) = 0;
};

// Errors: kUnsupported (no driver, no GPU, too old), kInvalidArgument (no such device).
Result<std::unique_ptr<Device>> open_device(int index);
bool has_device();

}  // namespace cove::cuda
