#include "backends/cpu/memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>

#include <fmt/format.h>

#include "base/check.h"

namespace cove::cpu {

void AlignedBytes::Free::operator()(std::byte* memory) const { std::free(memory); }

Result<AlignedBytes> AlignedBytes::allocate(size_t bytes) {
  constexpr size_t kHugePage = size_t{2} << 20;
  const size_t alignment = bytes >= kHugePage ? kHugePage : 64;
  if (bytes > SIZE_MAX - alignment) return make_error(ErrorCode::kFailedPrecondition, "a buffer's size overflows");
  const size_t rounded = std::max(alignment, (bytes + alignment - 1) / alignment * alignment);
  AlignedBytes memory;
  memory.data_.reset(static_cast<std::byte*>(std::aligned_alloc(alignment, rounded)));
  if (memory.data_ == nullptr) {
    return make_error(
        ErrorCode::kFailedPrecondition,
        fmt::format("{} MiB of memory are not to be had; free some or use a smaller model or cache", bytes >> 20));
  }
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
