#include "backends/cpu/memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include <fmt/format.h>

#include "base/check.h"

namespace cove::cpu {
namespace {

// The machine's memory: what is larger is refused at once, instead of being promised by an overcommitting kernel.
size_t physical_bytes() {
  return static_cast<size_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

Error not_to_be_had(size_t bytes) {
  return make_error(
      ErrorCode::kFailedPrecondition,
      fmt::format("{} MiB of memory are not to be had; free some or use a smaller model or cache", bytes >> 20));
}

}  // namespace

void AlignedBytes::Free::operator()(std::byte* memory) const { std::free(memory); }

Result<AlignedBytes> AlignedBytes::allocate(size_t bytes) {
  constexpr size_t kHugePage = size_t{2} << 20;
  const size_t alignment = bytes >= kHugePage ? kHugePage : 64;
  if (bytes > physical_bytes()) return not_to_be_had(bytes);
  const size_t rounded = std::max(alignment, (bytes + alignment - 1) / alignment * alignment);
  AlignedBytes memory;
  memory.data_.reset(static_cast<std::byte*>(std::aligned_alloc(alignment, rounded)));
  if (memory.data_ == nullptr) return not_to_be_had(bytes);
  memory.bytes_ = rounded;
  // Weights and cache are read in long runs: huge pages save a page walk every 4 KB where the system grants them.
  if (alignment == kHugePage) (void)madvise(memory.data_.get(), rounded, MADV_HUGEPAGE);
  return memory;
}

void AlignedBytes::reserve(size_t bytes) {
  if (bytes <= bytes_) return;
  *this = AlignedBytes();
  Result<AlignedBytes> memory = allocate(bytes);
  COVE_CHECK_MSG(memory.has_value(), "out of memory for a step's scratch");
  *this = std::move(*memory);
}

}  // namespace cove::cpu
