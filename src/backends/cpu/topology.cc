#include "backends/cpu/topology.h"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <set>
#include <string>

#include <fmt/format.h>

#include "base/machine.h"

namespace cove::cpu {
namespace {

// "0,64" or "0-1" names the hardware threads of a core: the line is the core's identity. Empty when the kernel does not
// say.
std::string core_of(int processor, const std::filesystem::path& root) {
  std::ifstream file(root / fmt::format("sys/devices/system/cpu/cpu{}/topology/thread_siblings_list", processor));
  std::string line;
  std::getline(file, line);
  return line.empty() ? fmt::format("{}", processor) : line;
}

}  // namespace

std::vector<int> pick_processors(const std::vector<int>& allowed, double quota, const std::filesystem::path& root) {
  std::vector<int> picked;
  std::set<std::string> cores;
  for (const int processor : allowed) {
    if (cores.insert(core_of(processor, root)).second) picked.push_back(processor);
  }
  if (quota > 0) {
    const auto limit = static_cast<size_t>(std::max(1.0, std::ceil(quota)));
    if (picked.size() > limit) picked.resize(limit);
  }
  return picked;
}

std::vector<int> processors_to_use() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<int> allowed;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) {
    for (int i = 0; i < CPU_SETSIZE; ++i) {
      if (CPU_ISSET(i, &set)) allowed.push_back(i);
    }
  }
  if (allowed.empty()) allowed.push_back(0);
  return pick_processors(allowed, machine::probe_cpu().cgroup_cpus);
}

}  // namespace cove::cpu
