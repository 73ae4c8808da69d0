#pragma once
// The CPU backend: SIMD kernels per instruction set, dispatched at run time, over pinned threads. Made by apps/ and by
// tests. How it works and what it reaches: docs/kernels/cpu.md.

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "compute/backend.h"

namespace cove {

struct CpuOptions {
  int threads = 0;  // 0 = one per physical core that this process may use
  std::string isa;  // "" = the best that runs here; else one of cpu_isas(); for tests and for comparing
};

// Errors: kInvalidArgument for an ISA that does not exist or threads < 0, kUnsupported for one that this processor
// lacks.
Result<std::unique_ptr<Backend>> make_cpu_backend(const CpuOptions& options = {});

// The instruction sets compiled in that run on this processor, best first; the last is always "generic".
std::vector<std::string> cpu_isas();

}  // namespace cove
