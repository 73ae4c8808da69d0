#include "base/nvml.h"

#include <array>
#include <memory>

#include <dlfcn.h>
#include <fmt/format.h>

namespace cove {
namespace {

// The few types and numbers of nvml.h that are needed here; they are part of its stable ABI.
using Return = int;
using Device = void*;
constexpr Return kSuccess = 0;
struct Memory {
  unsigned long long total;
  unsigned long long free;
  unsigned long long used;
};

struct LibraryCloser {
  void operator()(void* library) const { ::dlclose(library); }
};
using Library = std::unique_ptr<void, LibraryCloser>;

struct Nvml {
  Return (*init)() = nullptr;
  Return (*shutdown)() = nullptr;
  Return (*driver_version)(char*, unsigned) = nullptr;
  Return (*cuda_version)(int*) = nullptr;
  Return (*device_count)(unsigned*) = nullptr;
  Return (*device_at)(unsigned, Device*) = nullptr;
  Return (*device_name)(Device, char*, unsigned) = nullptr;
  Return (*device_memory)(Device, Memory*) = nullptr;
  Return (*device_capability)(Device, int*, int*) = nullptr;
};

template <class Function>
bool load(void* library, const char* name, Function& target) {
  target = reinterpret_cast<Function>(::dlsym(library, name));
  return target != nullptr;
}

bool load_all(void* library, Nvml& nvml) {
  return load(library, "nvmlInit_v2", nvml.init) && load(library, "nvmlShutdown", nvml.shutdown) &&
         load(library, "nvmlSystemGetDriverVersion", nvml.driver_version) &&
         load(library, "nvmlSystemGetCudaDriverVersion_v2", nvml.cuda_version) &&
         load(library, "nvmlDeviceGetCount_v2", nvml.device_count) &&
         load(library, "nvmlDeviceGetHandleByIndex_v2", nvml.device_at) &&
         load(library, "nvmlDeviceGetName", nvml.device_name) &&
         load(library, "nvmlDeviceGetMemoryInfo", nvml.device_memory) &&
         load(library, "nvmlDeviceGetCudaComputeCapability", nvml.device_capability);
}

// A device that does not answer keeps its zeros: it is counted, and named as far as it is known.
GpuInfo read_gpu(const Nvml& nvml, unsigned index) {
  GpuInfo gpu;
  Device device = nullptr;
  if (nvml.device_at(index, &device) != kSuccess) return gpu;
  std::array<char, 96> name{};
  if (nvml.device_name(device, name.data(), name.size()) == kSuccess) gpu.name = name.data();
  Memory memory{};
  if (nvml.device_memory(device, &memory) == kSuccess) {
    gpu.memory_total_bytes = static_cast<int64_t>(memory.total);
    gpu.memory_free_bytes = static_cast<int64_t>(memory.free);
  }
  if (nvml.device_capability(device, &gpu.compute_major, &gpu.compute_minor) != kSuccess)
    gpu.compute_major = gpu.compute_minor = 0;
  return gpu;
}

GpuDriver read_driver(const Nvml& nvml) {
  GpuDriver driver;
  std::array<char, 96> version{};
  if (nvml.driver_version(version.data(), version.size()) == kSuccess) driver.version = version.data();
  int cuda = 0;  // 1000 * major + 10 * minor
  if (nvml.cuda_version(&cuda) == kSuccess) {
    driver.cuda_major = cuda / 1000;
    driver.cuda_minor = cuda % 1000 / 10;
  }
  unsigned count = 0;
  if (nvml.device_count(&count) != kSuccess) count = 0;
  for (unsigned i = 0; i < count; ++i) driver.gpus.push_back(read_gpu(nvml, i));
  return driver;
}

}  // namespace

Result<GpuDriver> probe_gpus(const std::string& library_name) {
  const Library library(::dlopen(library_name.c_str(), RTLD_NOW | RTLD_LOCAL));
  if (!library) return make_error(ErrorCode::kNotFound, fmt::format("no NVIDIA driver: {} is not there", library_name));
  Nvml nvml;
  if (!load_all(library.get(), nvml)) {
    return make_error(ErrorCode::kUnavailable, fmt::format("{} is too old: update the NVIDIA driver", library_name));
  }
  const Return started = nvml.init();
  if (started != kSuccess) {
    return make_error(
        ErrorCode::kUnavailable,
        fmt::format("the NVIDIA driver does not answer (NVML error {}): run nvidia-smi, it tells more", started));
  }
  GpuDriver driver = read_driver(nvml);
  nvml.shutdown();
  return driver;
}

}  // namespace cove
