// Device on the CUDA runtime, which is linked statically and loads the driver itself: where there is none, opening
// fails and nothing else happens.
#include <array>

#include <cuda_runtime_api.h>
#include <fmt/format.h>

#include "backends/cuda/runtime/device.h"

namespace cove::cuda {
namespace {

constexpr int kOldestMajor = 8;
constexpr int kPlaces = 4;

class CudaGraph final : public Graph {
 public:
  explicit CudaGraph(cudaGraphExec_t executable) : executable_(executable) {}
  ~CudaGraph() override { cudaGraphExecDestroy(executable_); }
  cudaGraphExec_t executable() const { return executable_; }

 private:
  cudaGraphExec_t executable_;
};

class CudaDevice final : public Device {
 public:
  explicit CudaDevice(int index) : index_(index) {}
  ~CudaDevice() override {
    for (const cudaEvent_t event : places_) {
      if (event != nullptr) cudaEventDestroy(event);
    }
    if (stream_ != nullptr) cudaStreamDestroy(stream_);
  }

  Status open();

  const DeviceFacts& facts() const override { return facts_; }
  uint64_t memory_free() const override {
    size_t free = 0;
    size_t total = 0;
    (void)cudaSetDevice(index_);
    return cudaMemGetInfo(&free, &total) == cudaSuccess ? free : 0;
  }
  void bind() override { check(cudaSetDevice(index_), "choosing the device"); }
  Result<void*> allocate(size_t bytes) override;
  void release(void* memory) override { check(cudaFree(memory), "giving memory back"); }
  Result<void*> allocate_pinned(size_t bytes) override;
  void release_pinned(void* memory) override { check(cudaFreeHost(memory), "giving memory back"); }

  void* stream() override { return stream_; }
  void upload(void* to, const void* from_pinned, size_t bytes) override {
    check(cudaMemcpyAsync(to, from_pinned, bytes, cudaMemcpyHostToDevice, stream_), "copying to the device");
  }
  void download(void* to_pinned, const void* from, size_t bytes) override {
    check(cudaMemcpyAsync(to_pinned, from, bytes, cudaMemcpyDeviceToHost, stream_), "copying from the device");
  }
  void copy_inside(void* to, const void* from, size_t bytes) override {
    check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, stream_), "copying on the device");
  }
  void clear(void* memory, size_t bytes) override {
    check(cudaMemsetAsync(memory, 0, bytes, stream_), "clearing memory");
  }
  void note(const char* launch_error) override {
    if (launch_error != nullptr && error_.empty()) error_ = fmt::format("launching a kernel: {}", launch_error);
  }
  Status synchronize() override;

  void mark(int place) override {
    check(cudaEventRecord(places_[static_cast<size_t>(place)], stream_), "recording an event");
  }
  Status wait_for(int place) override {
    check(cudaEventSynchronize(places_[static_cast<size_t>(place)]), "running the step");
    return status();
  }
  double seconds_between(int first_place, int second_place) override;

  std::unique_ptr<Graph> record(const std::function<void()>& work) override;
  void run(Graph& graph) override {
    check(cudaGraphLaunch(static_cast<CudaGraph&>(graph).executable(), stream_), "running a graph");
  }

 private:
  void check(cudaError_t error, const char* doing) {
    if (error != cudaSuccess && error_.empty()) error_ = fmt::format("{}: {}", doing, cudaGetErrorString(error));
  }

  Status status() const;

  int index_;
  DeviceFacts facts_;
  cudaStream_t stream_ = nullptr;
  std::array<cudaEvent_t, kPlaces> places_{};
  std::string error_;
};

Status CudaDevice::open() {
  cudaDeviceProp properties{};
  check(cudaSetDevice(index_), "choosing the device");
  check(cudaGetDeviceProperties(&properties, index_), "asking for its properties");
  check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "making a stream");
  for (cudaEvent_t& event : places_) check(cudaEventCreate(&event), "making an event");
  if (!error_.empty()) return make_error(ErrorCode::kUnsupported, fmt::format("CUDA device {}: {}", index_, error_));
  facts_ = {.name = properties.name,
            .compute_major = properties.major,
            .compute_minor = properties.minor,
            .multiprocessors = properties.multiProcessorCount,
            .memory_total = properties.totalGlobalMem};
  if (properties.major < kOldestMajor) {
    return make_error(ErrorCode::kUnsupported,
                      fmt::format("CUDA device {}: {} has compute capability {}.{}; 8.0 or newer is needed", index_,
                                  facts_.name, properties.major, properties.minor));
  }
  return {};
}

Result<void*> CudaDevice::allocate(size_t bytes) {
  bind();
  void* memory = nullptr;
  const cudaError_t error = cudaMalloc(&memory, bytes == 0 ? 1 : bytes);
  if (error == cudaSuccess) return memory;
  (void)cudaGetLastError();
  return make_error(ErrorCode::kFailedPrecondition,
                    fmt::format("{} bytes of device memory are not to be had ({}); {} bytes are free", bytes,
                                cudaGetErrorString(error), memory_free()));
}

Result<void*> CudaDevice::allocate_pinned(size_t bytes) {
  bind();
  void* memory = nullptr;
  const cudaError_t error = cudaMallocHost(&memory, bytes == 0 ? 1 : bytes);
  if (error == cudaSuccess) return memory;
  (void)cudaGetLastError();
  return make_error(ErrorCode::kFailedPrecondition, fmt::format("{} bytes of pinned host memory are not to be had ({})",
                                                                bytes, cudaGetErrorString(error)));
}

Status CudaDevice::synchronize() {
  check(cudaStreamSynchronize(stream_), "running the step");
  return status();
}

Status CudaDevice::status() const {
  if (error_.empty()) return {};
  return make_error(ErrorCode::kUnavailable, fmt::format("CUDA device {} ({}): {}", index_, facts_.name, error_));
}

double CudaDevice::seconds_between(int first_place, int second_place) {
  float milliseconds = 0;
  check(cudaEventElapsedTime(&milliseconds, places_[static_cast<size_t>(first_place)],
                             places_[static_cast<size_t>(second_place)]),
        "reading a clock");
  return static_cast<double>(milliseconds) / 1e3;
}

std::unique_ptr<Graph> CudaDevice::record(const std::function<void()>& work) {
  if (cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal) != cudaSuccess) {
    (void)cudaGetLastError();
    return nullptr;
  }
  work();
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t executable = nullptr;
  cudaError_t error = cudaStreamEndCapture(stream_, &graph);
  if (error == cudaSuccess) error = cudaGraphInstantiate(&executable, graph, 0);
  if (graph != nullptr) cudaGraphDestroy(graph);
  if (error == cudaSuccess) return std::make_unique<CudaGraph>(executable);
  (void)cudaGetLastError();
  return nullptr;
}

std::string why_none(cudaError_t error) {
  if (error == cudaSuccess) return "the driver knows none";
  if (error == cudaErrorInsufficientDriver) {
    return fmt::format("there is no NVIDIA driver, or one older than CUDA {} needs", CUDART_VERSION / 1000);
  }
  return cudaGetErrorString(error);
}

}  // namespace

bool has_device() {
  int count = 0;
  return cudaGetDeviceCount(&count) == cudaSuccess && count > 0;
}

Result<std::unique_ptr<Device>> open_device(int index) {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error != cudaSuccess || count == 0) {
    return make_error(ErrorCode::kUnsupported,
                      fmt::format("device 'cuda': no GPU can be used here ({})", why_none(error)));
  }
  if (index < 0 || index >= count) {
    return invalid_argument(fmt::format("CUDA device {} does not exist; there are 0 to {}", index, count - 1));
  }
  auto device = std::make_unique<CudaDevice>(index);
  TRY(device->open());
  return std::unique_ptr<Device>(std::move(device));
}

}  // namespace cove::cuda
