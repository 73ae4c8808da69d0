#pragma once
// Which kernel tables are compiled in and run here. Used by cpu_backend.cc, ceilings.cc and the tests.

#include <span>
#include <string_view>

#include "backends/cpu/isa/kernel_table.h"

namespace cove::cpu {

struct IsaEntry {
  std::string_view name;
  bool runs_here;
  const KernelTable& (*kernels)();
};

// All that are compiled in, best first.
std::span<const IsaEntry> isa_entries();

// The best that runs here.
const KernelTable& best_kernels();

}  // namespace cove::cpu
