#pragma once
// The merges of a byte-pair encoding: which two neighbouring tokens become which, and which go first.

#include <cstddef>
#include <cstdint>
#include <vector>

namespace cove::text {

// What two neighbouring tokens become.
struct Merge {
  static constexpr uint32_t kNone = UINT32_MAX;
  uint32_t rank = kNone;  // lower merges first
  int32_t id = -1;
};

// (left, right) -> Merge: open addressing in one array, at most half full.
class MergeTable {
 public:
  explicit MergeTable(size_t merges_max);
  void insert(int32_t left, int32_t right, Merge merge);  // the last one wins
  Merge find(int32_t left, int32_t right) const {
    const uint64_t key = key_of(left, right);
    for (size_t at = slot_of(key);; at = (at + 1) & mask_) {
      const Slot& slot = slots_[at];
      if (slot.key == key) return slot.merge;
      if (slot.key == kFree) return {};
    }
  }
  // Calls visit(left, right, merge) for each entry, in no order.
  template <class Visit>
  void for_each(Visit&& visit) const {
    for (const Slot& slot : slots_) {
      if (slot.key != kFree) visit(static_cast<int32_t>(slot.key >> 32), static_cast<int32_t>(slot.key), slot.merge);
    }
  }

 private:
  static constexpr uint64_t kFree = UINT64_MAX;  // ids are not negative, so no pair has this key
  struct Slot {
    uint64_t key = kFree;
    Merge merge;
  };
  static uint64_t key_of(int32_t left, int32_t right) {
    return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
  }
  size_t slot_of(uint64_t key) const { return static_cast<size_t>((key * 0x9E3779B97F4A7C15u) >> shift_); }

  std::vector<Slot> slots_;
  size_t mask_ = 0;
  int shift_ = 0;
  size_t used_ = 0;
  size_t used_max_ = 0;
};

}  // namespace cove::text
