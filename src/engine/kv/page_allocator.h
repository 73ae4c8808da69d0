#pragma once
// Numbers and reference counts of the cache's pages; the bytes are the backend's (compute/backend.h, KvCache). Engine
// thread only.

#include <cstdint>
#include <optional>
#include <vector>

namespace cove::engine {

using PageId = int32_t;

class PageAllocator {
 public:
  explicit PageAllocator(int64_t pages);

  std::optional<PageId> allocate();  // with one reference; nullopt when none is free
  int32_t retain(PageId page);       // the references it now has
  int32_t release(PageId page);      // the references left; 0 = free again
  int32_t references(PageId page) const { return references_[static_cast<size_t>(page)]; }

  int64_t total() const { return static_cast<int64_t>(references_.size()); }
  int64_t free() const { return static_cast<int64_t>(free_.size()); }

 private:
  std::vector<int32_t> references_;  // [pages]
  std::vector<PageId> free_;         // last in, first out: recently used memory is warm
};

}  // namespace cove::engine
