#include "engine/kv/page_allocator.h"

#include "base/check.h"

namespace cove::engine {

PageAllocator::PageAllocator(int64_t pages) : references_(static_cast<size_t>(pages), 0) {
  free_.reserve(references_.size());
  for (int64_t page = pages; page-- > 0;) free_.push_back(static_cast<PageId>(page));
}

std::optional<PageId> PageAllocator::allocate() {
  if (free_.empty()) return std::nullopt;
  const PageId page = free_.back();
  free_.pop_back();
  references_[static_cast<size_t>(page)] = 1;
  return page;
}

int32_t PageAllocator::retain(PageId page) {
  int32_t& count = references_[static_cast<size_t>(page)];
  COVE_CHECK(count > 0);
  return ++count;
}

int32_t PageAllocator::release(PageId page) {
  int32_t& count = references_[static_cast<size_t>(page)];
  COVE_CHECK(count > 0);
  if (--count == 0) free_.push_back(page);
  return count;
}

}  // namespace cove::engine
