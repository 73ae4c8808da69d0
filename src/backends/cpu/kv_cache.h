#pragma once
// The CPU's paged key-value cache. Inside a page: [layer][kv head]{keys, values}, each in blocks of 16 positions: keys
// [dim][16], so that one vector holds a dimension of 16 positions, and values [16][dim rounded up to 16]. Used by
// cpu_attention and cpu_backend.

#include "backends/cpu/isa/kernel_table.h"
#include "backends/cpu/memory.h"
#include "compute/backend.h"

namespace cove::cpu {

struct CpuKvCache final : KvCache {
  AlignedBytes memory;
  int64_t element_bytes = 4;
  int64_t value_stride = 0;  // elements
  int64_t blocks_per_page = 0;
  int64_t key_block_bytes = 0;
  int64_t value_block_bytes = 0;
  int64_t head_bytes = 0;  // keys and values of one head of one layer of one page
  int64_t page_bytes = 0;

  std::byte* head(int64_t page, int64_t layer, int64_t kv_head) const {
    return memory.data() + page * page_bytes + (layer * layout.kv_heads + kv_head) * head_bytes;
  }
  std::byte* keys(int64_t page, int64_t layer, int64_t kv_head, int64_t block) const {
    return head(page, layer, kv_head) + block * key_block_bytes;
  }
  std::byte* values(int64_t page, int64_t layer, int64_t kv_head, int64_t block) const {
    return head(page, layer, kv_head) + blocks_per_page * key_block_bytes + block * value_block_bytes;
  }
  CacheFormat format() const {
    return layout.dtype == DType::kF32   ? CacheFormat::kF32
           : layout.dtype == DType::kF16 ? CacheFormat::kF16
                                         : CacheFormat::kBF16;
  }
};

Result<std::unique_ptr<CpuKvCache>> make_cpu_kv_cache(const KvLayout& layout, int64_t pages);

// Tokens [0, count) of page `from` to page `to`, in every layer.
void copy_cpu_page(CpuKvCache& cache, const CopyPageArgs& args);

}  // namespace cove::cpu
