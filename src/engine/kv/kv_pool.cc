#include "engine/kv/kv_pool.h"

#include "base/check.h"

namespace cove::engine {

KvPool::KvPool(int64_t pages, int64_t page_tokens, PrefixSharing sharing)
    : page_tokens_(page_tokens), sharing_(sharing), pages_(pages), tree_(pages_, page_tokens) {}

int64_t KvPool::attach_prefix(std::span<const int32_t> tokens, SequencePages& sequence) {
  COVE_CHECK(sequence.pages.empty());
  if (sharing_ == PrefixSharing::kOff) return 0;
  const auto page = static_cast<size_t>(page_tokens_);
  for (size_t begin = 0; begin + page < tokens.size(); begin += page) {
    const PrefixTree::Node node = tree_.find(sequence.node, tokens.subspan(begin, page));
    if (node == PrefixTree::kNone) break;
    tree_.retain(tree_.page(node));
    sequence.pages.push_back(tree_.page(node));
    sequence.node = node;
    ++sequence.shared;
  }
  return sequence.shared * page_tokens_;
}

bool KvPool::grow(SequencePages& sequence, int64_t positions) {
  const int64_t missing = pages_for(positions) - static_cast<int64_t>(sequence.pages.size());
  if (missing > available()) return false;
  for (int64_t i = 0; i < missing; ++i) {
    auto page = pages_.allocate();
    if (!page) {
      COVE_CHECK(tree_.evict_one());
      page = pages_.allocate();
    }
    sequence.pages.push_back(*page);
  }
  return true;
}

void KvPool::publish(std::span<const int32_t> tokens, int64_t computed, SequencePages& sequence) {
  if (sharing_ == PrefixSharing::kOff) return;
  for (; (sequence.shared + 1) * page_tokens_ <= computed; ++sequence.shared) {
    const auto page_tokens =
        tokens.subspan(static_cast<size_t>(sequence.shared * page_tokens_), static_cast<size_t>(page_tokens_));
    PageId& page = sequence.pages[static_cast<size_t>(sequence.shared)];
    PrefixTree::Node node = tree_.find(sequence.node, page_tokens);
    if (node == PrefixTree::kNone) {
      node = tree_.insert(sequence.node, page_tokens, page);
    } else {
      tree_.retain(tree_.page(node));
      pages_.release(page);
      page = tree_.page(node);
    }
    sequence.node = node;
  }
}

void KvPool::release(SequencePages& sequence) {
  for (size_t i = sequence.pages.size(); i-- > 0;) tree_.release(sequence.pages[i]);  // leaf first, see PrefixTree
  sequence = {};
}

}  // namespace cove::engine
