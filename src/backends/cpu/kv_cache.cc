#include "backends/cpu/kv_cache.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "base/check.h"

namespace cove::cpu {

Result<std::unique_ptr<CpuKvCache>> make_cpu_kv_cache(const KvLayout& layout, int64_t pages) {
  COVE_CHECK(layout.layers > 0 && layout.kv_heads > 0 && layout.head_dim > 0 && layout.page_tokens > 0 && pages > 0);
  if (layout.page_tokens % kAttentionBlock != 0) {
    return make_error(ErrorCode::kUnsupported,
                      fmt::format("pages of {} positions are not supported by the cpu backend; choose a multiple of {}",
                                  layout.page_tokens, kAttentionBlock));
  }
  auto cache = std::make_unique<CpuKvCache>();
  cache->layout = layout;
  cache->pages = pages;
  cache->element_bytes = dtype_bytes(layout.dtype, 1);
  cache->value_stride = (layout.head_dim + 15) / 16 * 16;
  cache->blocks_per_page = layout.page_tokens / kAttentionBlock;
  cache->key_block_bytes = layout.head_dim * kAttentionBlock * cache->element_bytes;
  cache->value_block_bytes = cache->value_stride * kAttentionBlock * cache->element_bytes;
  cache->head_bytes = cache->blocks_per_page * (cache->key_block_bytes + cache->value_block_bytes);
  cache->page_bytes = layout.layers * layout.kv_heads * cache->head_bytes;
  Result<AlignedBytes> memory =
      AlignedBytes::allocate(static_cast<size_t>(pages) * static_cast<size_t>(cache->page_bytes));
  if (!memory) return with_context(std::move(memory).error(), fmt::format("a key-value cache of {} pages", pages));
  cache->memory = std::move(*memory);
  // Touched now: memory that is promised but not there would otherwise be missed in the middle of a step.
  std::memset(cache->memory.data(), 0, cache->memory.bytes());
  return cache;
}

void copy_cpu_page(CpuKvCache& cache, const CopyPageArgs& args) {
  COVE_CHECK(args.count >= 0 && args.count <= cache.layout.page_tokens);
  COVE_CHECK(args.from >= 0 && args.from < cache.pages && args.to >= 0 && args.to < cache.pages);
  const int64_t dim = cache.layout.head_dim;
  const int64_t bytes = cache.element_bytes;
  for (int64_t layer = 0; layer < cache.layout.layers; ++layer) {
    for (int64_t head = 0; head < cache.layout.kv_heads; ++head) {
      for (int64_t begin = 0; begin < args.count; begin += kAttentionBlock) {
        const int64_t block = begin / kAttentionBlock;
        const auto tokens = static_cast<size_t>(std::min<int64_t>(kAttentionBlock, args.count - begin) * bytes);
        for (int64_t d = 0; d < dim; ++d) {
          const int64_t row = d * kAttentionBlock * bytes;
          std::memcpy(cache.keys(args.to, layer, head, block) + row, cache.keys(args.from, layer, head, block) + row,
                      tokens);
        }
        std::memcpy(cache.values(args.to, layer, head, block), cache.values(args.from, layer, head, block),
                    tokens * static_cast<size_t>(cache.value_stride));
      }
    }
  }
}

}  // namespace cove::cpu
