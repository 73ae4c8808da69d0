#include "base/secret_memory.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <string>
#include <utility>

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/machine.h"

namespace cove {
namespace {

constexpr size_t kHugePage = size_t{2} << 20;

uintptr_t page_bytes() { return static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE)); }

}  // namespace

void wipe(std::span<std::byte> bytes) {
  if (!bytes.empty()) ::explicit_bzero(bytes.data(), bytes.size());
}

Result<SecretMemory> SecretMemory::allocate(size_t bytes) {
  SecretMemory memory;
  if (bytes == 0) return memory;
  const int64_t available = machine::probe_memory().available_bytes;
  if (available > 0 && bytes > static_cast<uint64_t>(available)) {
    return make_error(ErrorCode::kFailedPrecondition,
                      fmt::format("{} MB of decrypted data do not fit into the {} MB of memory that are available",
                                  bytes / 1'000'000, available / 1'000'000));
  }
  void* address = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (address == MAP_FAILED) {
    return make_error(ErrorCode::kFailedPrecondition,
                      fmt::format("{} MB of memory for decrypted data are not to be had", bytes / 1'000'000));
  }
  memory.data_ = static_cast<std::byte*>(address);
  memory.size_ = bytes;
  (void)::madvise(address, bytes, MADV_DONTDUMP);
  if (bytes >= kHugePage) (void)::madvise(address, bytes, MADV_HUGEPAGE);
  // On fault: whoever fills the memory, on all cores, also takes the pages.
  memory.locked_ = ::mlock2(address, bytes, MLOCK_ONFAULT) == 0;
  return memory;
}

SecretMemory::SecretMemory(SecretMemory&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      locked_(std::exchange(other.locked_, false)) {}

SecretMemory& SecretMemory::operator=(SecretMemory&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(locked_, other.locked_);
  return *this;
}

SecretMemory::~SecretMemory() {
  if (data_ == nullptr) return;
  wipe(bytes());
  ::munmap(data_, size_);
}

void SecretMemory::release(std::span<const std::byte> part) const {
  if (part.empty()) return;
  wipe({const_cast<std::byte*>(part.data()), part.size()});
  const uintptr_t page = page_bytes();
  const auto begin = (reinterpret_cast<uintptr_t>(part.data()) + page - 1) / page * page;
  const uintptr_t end = (reinterpret_cast<uintptr_t>(part.data()) + part.size()) / page * page;
  if (begin >= end) return;
  void* first = reinterpret_cast<void*>(begin);
  if (locked_) (void)::munlock(first, end - begin);  // locked pages cannot be given back
  (void)::madvise(first, end - begin, MADV_DONTNEED);
}

bool has_swap() {
  std::ifstream swaps("/proc/swaps");  // a heading, then one line for each area
  std::string line;
  return std::getline(swaps, line) && std::getline(swaps, line);
}

void keep_out_of_core_dumps() {
  // ELF headers only. A limit on the core's size would not reach collectors that read it from a pipe.
  std::ofstream("/proc/self/coredump_filter") << "0x10\n";
}

}  // namespace cove
