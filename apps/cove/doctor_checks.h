#pragma once
// What `cove doctor` knows about a machine, and how it judges it: the table of docs/operations/requirements.md as code.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "backends/cpu/ceilings.h"
#include "backends/cuda/cuda_backend.h"
#include "base/machine.h"
#include "base/nvml.h"

namespace cove::app {

struct Programs {
  std::string nvcc;            // version of the CUDA toolkit; empty = none, "?" = there, version not found
  bool docker = false;         // the client
  bool docker_engine = false;  // an engine answers
  bool podman = false;
  bool kubectl = false;
  bool nvidia_runtime = false;  // GPUs can be given to containers
};

struct Facts {
  machine::SystemInfo system;
  machine::CpuInfo cpu;
  machine::MemoryInfo memory;
  machine::DiskInfo disk;  // where --data lies
  machine::LimitInfo limits;
  Programs programs;
  std::optional<GpuDriver> gpu;
  std::string gpu_missing;  // why there is none
  std::string host;
  uint16_t port = 0;
  bool port_free = false;
  std::optional<CpuCeilings> ceilings;       // measured; none with --quick
  std::optional<CudaCeilings> gpu_ceilings;  // likewise, of the first GPU
  std::string gpu_unmeasured;                // why not, where there is a GPU
};

// Reads all but the ceilings; `data` is the data folder, host and port those of `serve`. Takes a few milliseconds.
Facts gather_facts(const std::string& data, const std::string& host, uint16_t port);

enum class Verdict { kOk, kBelowRecommended, kBelowMinimum, kInfo };

std::string_view to_string(Verdict verdict);

struct CheckRow {
  std::string name;         // "memory"
  std::string value;        // what this machine has
  std::string minimum;      // empty: none
  std::string recommended;  // empty: none
  Verdict verdict = Verdict::kInfo;
  std::string advice;  // what to do when it is not ok
};

std::vector<CheckRow> judge(const Facts& facts);

bool below_minimum(const std::vector<CheckRow>& rows);

}  // namespace cove::app
