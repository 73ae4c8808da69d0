#pragma once
// Pages of sequences: taken as they grow, shared through the prefix tree, given back. The scheduler's view of memory.
// Engine thread only.
//
// A sequence's positions [0, n) lie in pages[0 .. ceil(n / page_tokens)). The pages [0, shared) are in the tree; they
// are full and never written again. The others belong to the sequence alone.

#include <cstdint>
#include <span>
#include <vector>

#include "engine/kv/page_allocator.h"
#include "engine/kv/prefix_tree.h"

namespace cove::engine {

struct SequencePages {
  std::vector<PageId> pages;
  int64_t shared = 0;
  PrefixTree::Node node = PrefixTree::kRoot;  // of page shared - 1
};

enum class PrefixSharing : uint8_t { kOff, kOn };

class KvPool {
 public:
  KvPool(int64_t pages, int64_t page_tokens, PrefixSharing sharing);

  // Attaches the longest cached beginning of `tokens` to an empty sequence and returns its length: whole pages, and at
  // least one token is left to compute.
  int64_t attach_prefix(std::span<const int32_t> tokens, SequencePages& sequence);
  // Pages for positions [0, positions); evicts idle pages when needed. False: not enough, nothing taken.
  bool grow(SequencePages& sequence, int64_t positions);
  // Positions [0, computed) of `tokens` now have keys and values: full pages become known to the tree. A page that the
  // tree already has under the same tokens is exchanged for the tree's.
  void publish(std::span<const int32_t> tokens, int64_t computed, SequencePages& sequence);
  void release(SequencePages& sequence);

  int64_t pages_for(int64_t positions) const { return (positions + page_tokens_ - 1) / page_tokens_; }
  int64_t page_tokens() const { return page_tokens_; }
  bool shares_prefixes() const { return sharing_ == PrefixSharing::kOn; }
  int64_t total() const { return pages_.total(); }
  int64_t available() const { return pages_.free() + tree_.idle_pages(); }  // free, or idle in the tree
  int64_t cached() const { return tree_.idle_pages(); }
  int64_t used() const { return total() - available(); }
  // With no sequence alive: kInternal when pages are lost. The counts alone, or every page.
  Status check_idle_counts() const { return tree_.check_idle_counts(); }
  Status check_idle_integrity() const { return tree_.check_idle_integrity(); }

 private:
  int64_t page_tokens_;
  PrefixSharing sharing_;
  PageAllocator pages_;
  PrefixTree tree_;
};

}  // namespace cove::engine
