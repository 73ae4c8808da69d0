#include "text/grammar/token_masks.h"

#include <algorithm>

namespace cove::text::grammar {
namespace {

constexpr size_t kMasksKept = 32;
constexpr size_t kNodesMax = 20'000;  // about 1.2 KB each

}  // namespace

SortedVocabulary::SortedVocabulary(const Tokenizer& tokenizer) : tokenizer_(&tokenizer) {
  for (int32_t token = 0; token < tokenizer.vocab_size(); ++token) {
    if (!tokenizer.is_control(token) && !tokenizer.token_bytes(token).empty())
      entries_.push_back({.token = token, .shared = 0});
  }
  std::ranges::sort(entries_, [&](const Entry& a, const Entry& b) { return bytes(a.token) < bytes(b.token); });
  for (size_t i = 1; i < entries_.size(); ++i) {
    const std::string_view before = bytes(entries_[i - 1].token);
    const std::string_view here = bytes(entries_[i].token);
    const auto [end, unused] = std::ranges::mismatch(before, here);
    entries_[i].shared = static_cast<int32_t>(end - before.begin());
  }
}

GrammarMatcher::GrammarMatcher(std::shared_ptr<const Grammar> grammar,
                               std::shared_ptr<const SortedVocabulary> vocabulary)
    : vocabulary_(std::move(vocabulary)), automaton_(std::move(grammar)), node_(automaton_.start()) {}

std::span<const uint32_t> GrammarMatcher::allowed() {
  const size_t words = static_cast<size_t>(vocabulary_->vocab_size() + 31) / 32;
  if (node_ == Automaton::kDead) {
    none_.assign(words, 0);
    return none_;
  }
  const auto found = std::ranges::find(masks_, node_, &Mask::node);
  if (found != masks_.end()) return found->bits;
  if (automaton_.size() > kNodesMax) {
    node_ = automaton_.keep_only(node_);
    masks_.clear();
    next_mask_ = 0;
  }
  if (masks_.size() < kMasksKept) masks_.emplace_back();
  Mask& mask = masks_[next_mask_++ % masks_.size()];
  if (next_mask_ == kMasksKept) next_mask_ = 0;
  mask.node = node_;
  mask.bits.assign(words, 0);
  compute(mask.bits);
  return mask.bits;
}

// Walks the sorted vocabulary; `path[d]` is the node after d bytes of the present token. Tokens that share a beginning
// which leads nowhere are skipped together.
void GrammarMatcher::compute(std::vector<uint32_t>& bits) {
  std::vector<Automaton::Node> path = {node_};
  size_t dead_at = std::string_view::npos;  // bytes of the last token that already led nowhere
  for (const auto& [token, shared] : vocabulary_->entries()) {
    const auto common = static_cast<size_t>(shared);
    if (dead_at != std::string_view::npos && common >= dead_at) continue;
    dead_at = std::string_view::npos;
    const std::string_view bytes = vocabulary_->bytes(token);
    path.resize(std::min(path.size(), common + 1));
    for (size_t i = path.size() - 1; i < bytes.size(); ++i) {
      const Automaton::Node next = automaton_.advance(path.back(), static_cast<uint8_t>(bytes[i]));
      if (next == Automaton::kDead) {
        dead_at = i + 1;
        break;
      }
      path.push_back(next);
    }
    if (dead_at == std::string_view::npos) bits[static_cast<size_t>(token) / 32] |= 1U << (token % 32);
  }
}

void GrammarMatcher::accept(int32_t token) { node_ = automaton_.advance(node_, vocabulary_->bytes(token)); }

}  // namespace cove::text::grammar
