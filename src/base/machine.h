#pragma once
// What this machine is: system, processor, memory, disk, limits, programs. Read from /proc, /sys and /etc, where `root`
// is "/" or a folder with the same files (tests). Missing files leave a field empty or 0: a probe never fails. Called
// by `cove doctor`.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace cove::machine {

struct SystemInfo {
  std::string name;          // "Debian GNU/Linux 12 (bookworm)"
  std::string kernel;        // "6.1.0-18-amd64"
  std::string libc;          // "2.36"
  std::string architecture;  // "x86_64", "aarch64"
};

struct CpuInfo {
  std::string model;
  int threads = 0;          // logical processors the kernel shows
  int cores = 0;            // physical ones; equals threads where the kernel does not say
  int threads_allowed = 0;  // by this process's affinity
  double cgroup_cpus = 0;   // quota of the control group; 0 = none
  std::vector<std::string>
      features;  // of those that Cove has kernels for, in the kernel's spelling: "avx2", "avx512_vnni"
};

struct MemoryInfo {
  int64_t total_bytes = 0;
  int64_t available_bytes = 0;
  int64_t cgroup_max_bytes = 0;  // 0 = no limit
  // What a process may take at most: the smaller of total and the control group's limit.
  int64_t usable_bytes() const;
};

struct DiskInfo {
  std::string path;  // the nearest existing folder at or above the one asked for
  int64_t total_bytes = 0;
  int64_t free_bytes = 0;  // for an unprivileged process
};

struct LimitInfo {
  int64_t files_soft = 0;  // open files; -1 = unlimited
  int64_t files_hard = 0;
  int64_t shm_bytes = 0;  // size of /dev/shm; 0 = none
};

SystemInfo probe_system(const std::filesystem::path& root = "/");
CpuInfo probe_cpu(const std::filesystem::path& root = "/");
MemoryInfo probe_memory(const std::filesystem::path& root = "/");
DiskInfo probe_disk(const std::filesystem::path& folder);
LimitInfo probe_limits();

// The first executable of that name in the folders of `path` (as in $PATH); empty when there is none.
std::filesystem::path find_program(std::string_view name, std::string_view path);

// True when nobody listens on host:port and this process may bind it. `host` is an IPv4 address.
bool port_is_free(const std::string& host, uint16_t port);

// True when something accepts connections on a Unix socket.
bool socket_answers(const std::filesystem::path& path);

// Compares dotted numbers: "2.36" >= "2.4" is true, "6.1.0-18-amd64" >= "5.10" is true.
bool version_at_least(std::string_view version, std::string_view wanted);

}  // namespace cove::machine
