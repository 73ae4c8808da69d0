#include "text/tokenizer/merge_table.h"

#include <bit>

#include "base/check.h"

namespace cove::text {

MergeTable::MergeTable(size_t merges_max) : used_max_(merges_max) {
  const size_t count = std::bit_ceil(merges_max * 2 + 2);
  slots_.resize(count);
  mask_ = count - 1;
  shift_ = 64 - std::countr_zero(count);
}

void MergeTable::insert(int32_t left, int32_t right, Merge merge) {
  const uint64_t key = key_of(left, right);
  size_t at = slot_of(key);
  while (slots_[at].key != kFree && slots_[at].key != key) at = (at + 1) & mask_;
  if (slots_[at].key == kFree) COVE_CHECK(++used_ <= used_max_);
  slots_[at] = {key, merge};
}

}  // namespace cove::text
