#pragma once
// Which full pages hold which tokens: a tree whose nodes are pages, so that prompts with a common beginning share it. A
// page is found by its parent node and its tokens, compared one by one (a hash collision never gives wrong keys).
// Engine thread only.
//
// The tree holds one reference to each of its pages. A node whose page nobody else references is idle and may be
// evicted, least recently used first; sequences hold whole paths and give them back leaf first, so that the least
// recent idle node is a leaf.

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "engine/kv/page_allocator.h"

namespace cove::engine {

class PrefixTree {
 public:
  using Node = int32_t;
  static constexpr Node kRoot = -1;
  static constexpr Node kNone = -2;

  PrefixTree(PageAllocator& pages, int64_t page_tokens);

  // The child of `parent` that holds exactly these tokens (page_tokens of them), or kNone.
  Node find(Node parent, std::span<const int32_t> tokens) const;
  // Makes one; there must be none yet. The tree takes its own reference to `page`.
  Node insert(Node parent, std::span<const int32_t> tokens, PageId page);
  PageId page(Node node) const { return nodes_[static_cast<size_t>(node)].page; }

  // To be used for every reference to a page that may be in the tree, so that idle nodes are known.
  void retain(PageId page);
  void release(PageId page);

  // Gives the least recently used idle page back to the allocator; false when there is none.
  bool evict_one();
  int64_t idle_pages() const { return idle_count_; }
  int64_t size() const { return static_cast<int64_t>(nodes_.size() - free_nodes_.size()); }

  // kInternal naming what is wrong. With no sequence alive every page must be free or idle in the tree.
  Status check_idle_counts() const;  // O(1)
  Status check_idle_integrity() const;

 private:
  struct Entry {
    Node parent = kRoot;
    PageId page = 0;
    uint64_t hash = 0;
    int32_t children = 0;
    bool idle = false;
    Node newer = kNone;  // links of the idle list
    Node older = kNone;
    std::vector<int32_t> tokens;
  };

  uint64_t hash(Node parent, std::span<const int32_t> tokens) const;
  Entry& entry(Node node) { return nodes_[static_cast<size_t>(node)]; }
  const Entry& entry(Node node) const { return nodes_[static_cast<size_t>(node)]; }
  void link_idle(Node node);
  void unlink_idle(Node node);

  PageAllocator* pages_;
  int64_t page_tokens_;
  uint64_t hash_key_;  // random: an outsider cannot prepare prompts that collide
  std::vector<Entry> nodes_;
  std::vector<Node> free_nodes_;
  std::unordered_multimap<uint64_t, Node> by_hash_;
  std::vector<Node> node_of_page_;  // [pages], kNone when not in the tree
  Node newest_idle_ = kNone;
  Node oldest_idle_ = kNone;
  int64_t idle_count_ = 0;
};

}  // namespace cove::engine
