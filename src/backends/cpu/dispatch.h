#pragma once
// Which kernel tables are compiled in and run here. Used by cpu_backend.cc, ceilings.cc and the tests.

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "backends/cpu/isa/kernel_table.h"
#include "base/result.h"

namespace cove::cpu {

struct IsaEntry {
  std::string_view name;
  bool runs_here;
  const KernelTable& (*kernels)();
};

// All that are compiled in, newest first.
std::span<const IsaEntry> isa_entries();

struct Choice {
  const KernelTable* kernels = nullptr;
  int threads = 1;
  std::vector<int> processors;  // to pin to
};

// What CpuOptions ask for: isa "" = the fastest that runs here, threads 0 = one per physical core this process may use.
// Errors: kInvalidArgument for an ISA that does not exist or a senseless number of threads, kUnsupported for an ISA
// this processor lacks.
Result<Choice> choose(const std::string& isa, int threads);

}  // namespace cove::cpu
