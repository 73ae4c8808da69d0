#include "base/machine.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>
#include <utility>

#include <arpa/inet.h>
#include <gnu/libc-version.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <unistd.h>

namespace cove::machine {
namespace {

// Files of /proc and /sys have no size, so they are read as streams.
std::string read_small(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::string_view trim(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t\r\n\"");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r\n\"") - begin + 1);
}

std::optional<int64_t> parse_number(std::string_view text) {
  text = trim(text);
  int64_t value = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  if (parsed.ec != std::errc{}) return std::nullopt;
  return value;
}

// Calls found(key, value) for every line "key SEPARATOR value".
template <class Found>
void for_each_pair(const std::string& text, char separator, Found found) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const size_t at = line.find(separator);
    if (at != std::string::npos)
      found(trim(std::string_view(line).substr(0, at)), trim(std::string_view(line).substr(at + 1)));
  }
}

std::vector<std::string> known_features(std::string_view flags) {
  constexpr std::array<std::string_view, 16> kKnown = {
      "sse4_2",      "avx2",     "fma",      "f16c",     "avx512f", "avx512bw", "avx512_vnni", "avx_vnni",
      "avx512_bf16", "amx_tile", "amx_int8", "amx_bf16", "asimd",   "asimddp",  "i8mm",        "bf16"};
  std::vector<std::string> features;
  std::istringstream words{std::string(flags)};
  const std::set<std::string, std::less<>> have{std::istream_iterator<std::string>(words), {}};
  for (const std::string_view name : kKnown) {
    if (have.contains(name)) features.emplace_back(name);
  }
  return features;
}

int count_affinity() {
  cpu_set_t set;
  CPU_ZERO(&set);
  return ::sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 0;
}

double parse_cgroup_cpus(const std::string& cpu_max) {
  std::istringstream in(cpu_max);
  double quota = 0;
  double period = 0;
  return in >> quota >> period && period > 0 ? quota / period : 0;
}

std::vector<int64_t> version_numbers(std::string_view version) {
  std::vector<int64_t> numbers;
  for (size_t at = 0; at < version.size() && version[at] >= '0' && version[at] <= '9';) {
    const size_t end = std::min(version.find_first_not_of("0123456789", at), version.size());
    numbers.push_back(parse_number(version.substr(at, end - at)).value_or(0));
    if (end == version.size() || version[end] != '.') break;
    at = end + 1;
  }
  return numbers;
}

class Socket {
 public:
  explicit Socket(int family) : fd_(::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0)) {}
  ~Socket() {
    if (fd_ >= 0) ::close(fd_);
  }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

}  // namespace

int64_t MemoryInfo::usable_bytes() const {
  return cgroup_max_bytes > 0 ? std::min(total_bytes, cgroup_max_bytes) : total_bytes;
}

SystemInfo probe_system(const std::filesystem::path& root) {
  SystemInfo info;
  for_each_pair(read_small(root / "etc/os-release"), '=', [&](std::string_view key, std::string_view value) {
    if (key == "PRETTY_NAME") info.name = value;
  });
  utsname names{};
  if (::uname(&names) == 0) {
    info.kernel = names.release;
    info.architecture = names.machine;
  }
  info.libc = ::gnu_get_libc_version();
  return info;
}

CpuInfo probe_cpu(const std::filesystem::path& root) {
  CpuInfo info;
  std::set<std::pair<std::string, std::string>> cores;  // (socket, core)
  std::string socket;
  for_each_pair(read_small(root / "proc/cpuinfo"), ':', [&](std::string_view key, std::string_view value) {
    if (key == "processor") ++info.threads;
    if ((key == "model name" || key == "Model") && info.model.empty()) info.model = value;
    if (key == "physical id") socket = value;
    if (key == "core id") cores.emplace(socket, value);
    if ((key == "flags" || key == "Features") && info.features.empty()) info.features = known_features(value);
  });
  info.cores = cores.empty() ? info.threads : static_cast<int>(cores.size());
  info.threads_allowed = count_affinity();
  info.cgroup_cpus = parse_cgroup_cpus(read_small(root / "sys/fs/cgroup/cpu.max"));
  return info;
}

MemoryInfo probe_memory(const std::filesystem::path& root) {
  MemoryInfo info;
  for_each_pair(read_small(root / "proc/meminfo"), ':', [&](std::string_view key, std::string_view value) {
    const int64_t bytes = parse_number(value).value_or(0) * 1024;  // the file counts in kB
    if (key == "MemTotal") info.total_bytes = bytes;
    if (key == "MemAvailable") info.available_bytes = bytes;
  });
  // Version 2 of control groups, then version 1, whose "no limit" is a number larger than any memory.
  for (const char* file : {"sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory/memory.limit_in_bytes"}) {
    const int64_t limit = parse_number(read_small(root / file)).value_or(0);
    if (limit > 0 && limit < info.total_bytes) info.cgroup_max_bytes = limit;
  }
  return info;
}

DiskInfo probe_disk(const std::filesystem::path& folder) {
  std::error_code ignored;  // an unreadable parent is treated like a missing one
  std::filesystem::path at = std::filesystem::absolute(folder, ignored);
  while (!std::filesystem::is_directory(at, ignored) && at.has_relative_path()) at = at.parent_path();
  DiskInfo info{.path = at.string(), .total_bytes = 0, .free_bytes = 0};
  struct statvfs room{};
  if (::statvfs(at.c_str(), &room) != 0) return info;
  info.total_bytes = static_cast<int64_t>(room.f_blocks * room.f_frsize);
  info.free_bytes = static_cast<int64_t>(room.f_bavail * room.f_frsize);
  return info;
}

LimitInfo probe_limits() {
  LimitInfo info;
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0) {
    const auto number = [](rlim_t value) { return value == RLIM_INFINITY ? int64_t{-1} : static_cast<int64_t>(value); };
    info.files_soft = number(files.rlim_cur);
    info.files_hard = number(files.rlim_max);
  }
  struct statvfs room{};
  if (::statvfs("/dev/shm", &room) == 0) info.shm_bytes = static_cast<int64_t>(room.f_blocks * room.f_frsize);
  return info;
}

std::filesystem::path find_program(std::string_view name, std::string_view path) {
  while (!path.empty()) {
    const size_t end = std::min(path.find(':'), path.size());
    const std::filesystem::path candidate = std::filesystem::path(path.substr(0, end)) / name;
    std::error_code ignored;  // a broken folder of $PATH holds no program
    if (std::filesystem::is_regular_file(candidate, ignored) && ::access(candidate.c_str(), X_OK) == 0)
      return candidate;
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  return {};
}

bool port_is_free(const std::string& host, uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  const Socket socket(AF_INET);
  if (socket.get() < 0 || ::inet_pton(AF_INET, host.c_str(), &address.sin_addr) != 1) return false;
  const int reuse = 1;  // as the server does, so that connections of an ended server do not count
  ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof(reuse));
  return ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0 &&
         ::listen(socket.get(), 1) == 0;
}

bool socket_answers(const std::filesystem::path& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.string().size() >= sizeof(address.sun_path)) return false;
  std::memcpy(address.sun_path, path.c_str(), path.string().size());
  const Socket socket(AF_UNIX);
  return socket.get() >= 0 &&
         ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
}

bool version_at_least(std::string_view version, std::string_view wanted) {
  return version_numbers(version) >= version_numbers(wanted);
}

}  // namespace cove::machine
