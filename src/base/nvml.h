#pragma once
// NVIDIA GPUs as the driver's management library (NVML) shows them. The library is loaded at run time, so that one
// binary runs with and without a GPU. Source of the calls: NVML API reference,
// https://docs.nvidia.com/deploy/nvml-api/.

#include <cstdint>
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
};

struct GpuDriver {
  std::string version;  // "580.95.05"
  int cuda_major = 0;   // the newest CUDA that the driver runs
  int cuda_minor = 0;
  std::vector<GpuInfo> gpus;
};

// Errors: kNotFound when there is no NVIDIA driver, kUnavailable when it is there and does not answer.
Result<GpuDriver> probe_gpus(const std::string& library = "libnvidia-ml.so.1");

}  // namespace cove
