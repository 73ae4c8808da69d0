#pragma once
// An e4m3 cache in bf16 for hopper/'s prefill attention, a layer at a time: the pages of the sequences whose prompts a
// step computes are unpacked, one after the other, into memory that all layers use in turn. It costs 3 bytes of traffic
// a cached value, where attention itself takes hundreds of operations.

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "backends/cuda/backend/buffers.h"
#include "backends/cuda/backend/step_arrays.h"
#include "backends/cuda/plan/attention_plan.h"
#include "compute/step.h"

namespace cove::cuda {

class UnpackedPages {
 public:
  // At most so much: 131 072 positions of four key heads of 128. Sequences beyond go to kernels/attention.cu.
  static constexpr uint64_t kBytesMax = uint64_t{256} << 20;

  // Room for a layer of the cache, or as many of its pages as kBytesMax hold.
  Status reserve(Device& device, const KvLayout& layout, int64_t pages) {
    const auto page = static_cast<uint64_t>(page_bytes(layout));
    const uint64_t most = std::max(kBytesMax / page, uint64_t{1});
    const uint64_t bytes = page * std::min(static_cast<uint64_t>(pages), most);
    if (memory_ != nullptr && memory_->bytes() >= bytes) return {};
    memory_ = nullptr;
    TRY_ASSIGN(memory_, CudaBuffer::make(device, bytes));
    return {};
  }
  int64_t pages_max(const KvLayout& layout) const {
    return memory_ == nullptr ? 0 : static_cast<int64_t>(memory_->bytes()) / page_bytes(layout);
  }

  // Of a step: which pages, and the page table that prefill then goes by. Device memory.
  struct Plan {
    int64_t count = 0;
    const int32_t* pages = nullptr;  // [count] of the cache
    const int32_t* table = nullptr;  // as StepBatch::page_table, with numbers of unpacked pages
  };
  // All pages of the sequences that have tiles.
  static Plan plan(const StepBatch& step, std::span<const AttentionTile> tiles, int64_t page_tokens,
                   StepArrays& arrays) {
    std::vector<int32_t> pages;
    std::vector<int32_t> table(step.page_table.size());
    std::vector<bool> seen(step.sequences.size());
    for (const AttentionTile& tile : tiles) {
      const auto sequence = static_cast<size_t>(tile.sequence);
      if (seen[sequence]) continue;
      seen[sequence] = true;
      const SequenceSlice& slice = step.sequences[sequence];
      const int64_t count = (slice.kv_length + page_tokens - 1) / page_tokens;
      for (int64_t i = slice.page_begin; i < slice.page_begin + count; ++i) {
        table[static_cast<size_t>(i)] = static_cast<int32_t>(pages.size());
        pages.push_back(step.page_table[static_cast<size_t>(i)]);
      }
    }
    if (pages.empty()) return {};
    return {.count = std::ssize(pages),
            .pages = arrays.add(std::span<const int32_t>(pages)),
            .table = arrays.add(std::span<const int32_t>(table))};
  }

  // What unpacks a layer; `prefill` is made to read what it writes.
  UnpackPagesLaunch unpack(const Plan& plan, const LayerCache& layer, hopper::PrefillArgs& prefill) const {
    auto* keys = static_cast<std::byte*>(memory_->data());
    auto* values = keys + plan.count * layer.kv_heads * layer.page_tokens * dtype_bytes(DType::kBF16, layer.head_dim);
    prefill.keys = keys;
    prefill.values = values;
    prefill.pages = plan.count;
    prefill.page_table = plan.table;
    return {.cache = layer, .pages = plan.pages, .count = plan.count, .keys = keys, .values = values};
  }

 private:
  // bf16 keys and values of a layer.
  static int64_t page_bytes(const KvLayout& layout) {
    return 2 * layout.kv_heads * layout.page_tokens * dtype_bytes(DType::kBF16, layout.head_dim);
  }
  std::unique_ptr<CudaBuffer> memory_;
};

}  // namespace cove::cuda
