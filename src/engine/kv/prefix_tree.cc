#include "engine/kv/prefix_tree.h"

#include <algorithm>
#include <random>

#include <fmt/format.h>

#include "base/check.h"

namespace cove::engine {
namespace {

Error broken(const std::string& what) { return make_error(ErrorCode::kInternal, "page accounting: " + what); }

}  // namespace

PrefixTree::PrefixTree(PageAllocator& pages, int64_t page_tokens)
    : pages_(&pages), page_tokens_(page_tokens), node_of_page_(static_cast<size_t>(pages.total()), kNone) {
  std::random_device random;
  hash_key_ = uint64_t{random()} << 32 | random();
}

// A multiply-and-rotate mix per token, finished as in splitmix64.
uint64_t PrefixTree::hash(Node parent, std::span<const int32_t> tokens) const {
  uint64_t state = hash_key_ ^ static_cast<uint64_t>(parent + 2) * 0x9e3779b97f4a7c15U;
  for (const int32_t token : tokens) {
    state = (state ^ static_cast<uint32_t>(token)) * 0xbf58476d1ce4e5b9U;
    state ^= state >> 29;
  }
  state *= 0x94d049bb133111ebU;
  return state ^ state >> 31;
}

PrefixTree::Node PrefixTree::find(Node parent, std::span<const int32_t> tokens) const {
  const auto [begin, end] = by_hash_.equal_range(hash(parent, tokens));
  for (auto it = begin; it != end; ++it) {
    const Entry& candidate = entry(it->second);
    if (candidate.parent == parent && std::ranges::equal(candidate.tokens, tokens)) return it->second;
  }
  return kNone;
}

PrefixTree::Node PrefixTree::insert(Node parent, std::span<const int32_t> tokens, PageId page) {
  COVE_CHECK(static_cast<int64_t>(tokens.size()) == page_tokens_);
  COVE_CHECK(node_of_page_[static_cast<size_t>(page)] == kNone);
  if (free_nodes_.empty()) {
    free_nodes_.push_back(static_cast<Node>(nodes_.size()));
    nodes_.emplace_back();
  }
  const Node node = free_nodes_.back();
  free_nodes_.pop_back();
  Entry& made = entry(node);
  made.parent = parent;
  made.page = page;
  made.hash = hash(parent, tokens);
  made.children = 0;
  made.idle = false;
  made.tokens.assign(tokens.begin(), tokens.end());
  if (parent != kRoot) ++entry(parent).children;
  by_hash_.emplace(made.hash, node);
  node_of_page_[static_cast<size_t>(page)] = node;
  pages_->retain(page);
  return node;
}

void PrefixTree::retain(PageId page) {
  const Node node = node_of_page_[static_cast<size_t>(page)];
  pages_->retain(page);
  if (node != kNone && entry(node).idle) unlink_idle(node);
}

void PrefixTree::release(PageId page) {
  const Node node = node_of_page_[static_cast<size_t>(page)];
  const int32_t left = pages_->release(page);
  if (node != kNone && left == 1) link_idle(node);
}

bool PrefixTree::evict_one() {
  const Node node = oldest_idle_;
  if (node == kNone) return false;
  unlink_idle(node);
  Entry& victim = entry(node);
  COVE_CHECK(victim.children == 0);
  if (victim.parent != kRoot) --entry(victim.parent).children;
  const auto [begin, end] = by_hash_.equal_range(victim.hash);
  by_hash_.erase(std::find_if(begin, end, [node](const auto& item) { return item.second == node; }));
  node_of_page_[static_cast<size_t>(victim.page)] = kNone;
  pages_->release(victim.page);
  free_nodes_.push_back(node);
  return true;
}

void PrefixTree::link_idle(Node node) {
  Entry& item = entry(node);
  item.idle = true;
  item.newer = kNone;
  item.older = newest_idle_;
  if (newest_idle_ != kNone) entry(newest_idle_).newer = node;
  newest_idle_ = node;
  if (oldest_idle_ == kNone) oldest_idle_ = node;
  ++idle_count_;
}

void PrefixTree::unlink_idle(Node node) {
  Entry& item = entry(node);
  if (item.newer != kNone) entry(item.newer).older = item.older;
  if (item.older != kNone) entry(item.older).newer = item.newer;
  if (newest_idle_ == node) newest_idle_ = item.older;
  if (oldest_idle_ == node) oldest_idle_ = item.newer;
  item.idle = false;
  --idle_count_;
}

Status PrefixTree::check_idle_counts() const {
  if (pages_->free() + size() != pages_->total()) {
    return broken(fmt::format("{} free and {} in the tree, of {}", pages_->free(), size(), pages_->total()));
  }
  if (idle_count_ != size() || by_hash_.size() != static_cast<size_t>(size())) {
    return broken(fmt::format("{} nodes, {} idle, {} by hash", size(), idle_count_, by_hash_.size()));
  }
  return {};
}

Status PrefixTree::check_idle_integrity() const {
  TRY(check_idle_counts());
  int64_t in_tree = 0;
  for (int64_t page = 0; page < pages_->total(); ++page) {
    const Node node = node_of_page_[static_cast<size_t>(page)];
    const int32_t expected = node == kNone ? 0 : 1;
    if (pages_->references(static_cast<PageId>(page)) != expected) {
      return broken(fmt::format("page {} has {} references, expected {}", page,
                                pages_->references(static_cast<PageId>(page)), expected));
    }
    in_tree += expected;
    if (node != kNone && entry(node).page != page) return broken(fmt::format("page {} and its node disagree", page));
  }
  if (in_tree != size()) return broken(fmt::format("{} pages in the tree, {} nodes", in_tree, size()));
  return {};
}

}  // namespace cove::engine
