#include "backends/cuda/emulator/emulated_device.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace cove::cuda::emulated {
namespace {

constexpr size_t kAlignment = 256;
constexpr size_t kPoisonedMost = size_t{8}
                                 << 20;  // the large workspaces would cost tests more time than they are worth

class EmulatedGraph final : public Graph {
 public:
  explicit EmulatedGraph(std::function<void()> work) : work_(std::move(work)) {}
  void run() const { work_(); }

 private:
  std::function<void()> work_;
};

class EmulatedDevice final : public Device {
 public:
  const DeviceFacts& facts() const override { return facts_; }
  uint64_t memory_free() const override { return facts_.memory_total; }
  void bind() override {}
  Result<void*> allocate(size_t bytes) override {
    TRY_ASSIGN(void* memory, allocate_pinned(bytes));
    std::memset(memory, 0xff, std::min(bytes, kPoisonedMost));
    return memory;
  }
  void release(void* memory) override { std::free(memory); }
  Result<void*> allocate_pinned(size_t bytes) override {
    void* memory = nullptr;
    if (posix_memalign(&memory, kAlignment, bytes == 0 ? 1 : bytes) != 0) {
      return make_error(ErrorCode::kFailedPrecondition, "no memory");
    }
    return memory;
  }
  void release_pinned(void* memory) override { std::free(memory); }

  void* stream() override { return nullptr; }
  void upload(void* to, const void* from_pinned, size_t bytes) override { std::memcpy(to, from_pinned, bytes); }
  void download(void* to_pinned, const void* from, size_t bytes) override { std::memcpy(to_pinned, from, bytes); }
  void copy_inside(void* to, const void* from, size_t bytes) override { std::memcpy(to, from, bytes); }
  void clear(void* memory, size_t bytes) override { std::memset(memory, 0, bytes); }
  void note(const char* launch_error) override {
    if (launch_error != nullptr && error_.empty()) error_ = launch_error;
  }
  Status synchronize() override {
    if (error_.empty()) return {};
    return make_error(ErrorCode::kUnavailable, error_);
  }
  void mark(int) override {}
  Status wait_for(int) override { return synchronize(); }
  double seconds_between(int, int) override { return 1; }
  std::unique_ptr<Graph> record(const std::function<void()>& work) override {
    return std::make_unique<EmulatedGraph>(work);
  }
  void run(Graph& graph) override { static_cast<EmulatedGraph&>(graph).run(); }

 private:
  DeviceFacts facts_{.name = "emulated",
                     .compute_major = 8,
                     .compute_minor = 0,
                     .multiprocessors = 4,
                     .memory_total = uint64_t{4} << 30};
  std::string error_;
};

}  // namespace

std::unique_ptr<Device> make_device() { return std::make_unique<EmulatedDevice>(); }

}  // namespace cove::cuda::emulated
