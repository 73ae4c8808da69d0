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
struct Utilization {
  unsigned gpu;     // percent
  unsigned memory;  // percent of the time in which memory was read or written
};
constexpr int kChipSensor = 0;

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
  // Null in libraries that lack them; what they tell is left out then.
  Return (*device_utilization)(Device, Utilization*) = nullptr;
  Return (*device_temperature)(Device, int, unsigned*) = nullptr;
  Return (*device_power)(Device, unsigned*) = nullptr;  // milliwatts
};

template <class Function>
bool load(void* library, const char* name, Function& target) {
  target = reinterpret_cast<Function>(::dlsym(library, name));
  return target != nullptr;
}

bool load_all(void* library, Nvml& nvml) {
  load(library, "nvmlDeviceGetUtilizationRates", nvml.device_utilization);
  load(library, "nvmlDeviceGetTemperature", nvml.device_temperature);
  load(library, "nvmlDeviceGetPowerUsage", nvml.device_power);
  return load(library, "nvmlInit_v2", nvml.init) && load(library, "nvmlShutdown", nvml.shutdown) &&
         load(library, "nvmlSystemGetDriverVersion", nvml.driver_version) &&
         load(library, "nvmlSystemGetCudaDriverVersion_v2", nvml.cuda_version) &&
         load(library, "nvmlDeviceGetCount_v2", nvml.device_count) &&
         load(library, "nvmlDeviceGetHandleByIndex_v2", nvml.device_at) &&
         load(library, "nvmlDeviceGetName", nvml.device_name) &&
         load(library, "nvmlDeviceGetMemoryInfo", nvml.device_memory) &&
         load(library, "nvmlDeviceGetCudaComputeCapability", nvml.device_capability);
}

void read_sensors(const Nvml& nvml, Device device, GpuInfo& gpu) {
  Utilization busy{};
  if (nvml.device_utilization != nullptr && nvml.device_utilization(device, &busy) == kSuccess)
    gpu.utilization = busy.gpu / 100.0;
  unsigned value = 0;
  if (nvml.device_temperature != nullptr && nvml.device_temperature(device, kChipSensor, &value) == kSuccess)
    gpu.temperature_c = value;
  if (nvml.device_power != nullptr && nvml.device_power(device, &value) == kSuccess) gpu.power_w = value / 1000.0;
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
  read_sensors(nvml, device, gpu);
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

// The library, open and initialised.
class GpuMonitor::Session {
 public:
  Session(Library library, const Nvml& nvml) : library_(std::move(library)), nvml_(nvml) {}
  ~Session() { nvml_.shutdown(); }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  const Nvml& nvml() const { return nvml_; }

 private:
  Library library_;
  Nvml nvml_;
};

GpuMonitor::GpuMonitor(std::unique_ptr<Session> session) : session_(std::move(session)) {}
GpuMonitor::GpuMonitor(GpuMonitor&&) noexcept = default;
GpuMonitor& GpuMonitor::operator=(GpuMonitor&&) noexcept = default;
GpuMonitor::~GpuMonitor() = default;

GpuDriver GpuMonitor::look() const { return read_driver(session_->nvml()); }

Result<GpuMonitor> GpuMonitor::open(const std::string& library_name) {
  Library library(::dlopen(library_name.c_str(), RTLD_NOW | RTLD_LOCAL));
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
  return GpuMonitor(std::make_unique<Session>(std::move(library), nvml));
}

Result<GpuDriver> probe_gpus(const std::string& library) {
  TRY_ASSIGN(const GpuMonitor monitor, GpuMonitor::open(library));
  return monitor.look();
}

}  // namespace cove
