#pragma once
// NVIDIA GPUs as the driver's management library (NVML) shows them. The library is loaded at run time, so that one
// binary runs with and without a GPU. Source of the calls: NVML API reference,
// https://docs.nvidia.com/deploy/nvml-api/.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace cove {

struct GpuInfo {
  std::string name;  // "NVIDIA H200"
  int64_t memory_total_bytes = 0;
  int64_t memory_free_bytes = 0;
  int compute_major = 0;  // compute capability, 9.0 for an H200
  int compute_minor = 0;
  // Now; empty where the driver does not tell (parts of a divided GPU, some virtual ones).
  std::optional<double> utilization = std::nullopt;    // share of the last second or less in which a kernel ran, 0 to 1
  std::optional<double> temperature_c = std::nullopt;  // of the chip
  std::optional<double> power_w = std::nullopt;
};

struct GpuDriver {
  std::string version;  // "580.95.05"
  int cuda_major = 0;   // the newest CUDA that the driver runs
  int cuda_minor = 0;
  std::vector<GpuInfo> gpus;
};

inline constexpr const char* kNvmlLibrary = "libnvidia-ml.so.1";

// Errors: kNotFound when there is no NVIDIA driver, kUnavailable when it is there and does not answer.
Result<GpuDriver> probe_gpus(const std::string& library = kNvmlLibrary);

// The same again and again, for metrics: the library stays open, so that a look takes about a millisecond. One thread.
class GpuMonitor {
 public:
  static Result<GpuMonitor> open(const std::string& library = kNvmlLibrary);
  GpuMonitor(GpuMonitor&&) noexcept;
  GpuMonitor& operator=(GpuMonitor&&) noexcept;
  ~GpuMonitor();

  GpuDriver look() const;

 private:
  class Session;
  explicit GpuMonitor(std::unique_ptr<Session> session);
  std::unique_ptr<Session> session_;
};

}  // namespace cove
