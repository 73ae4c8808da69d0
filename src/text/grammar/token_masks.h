#pragma once
// Which tokens of a vocabulary may come next in a grammar.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "text/grammar/automaton.h"
#include "text/tokenizer/tokenizer.h"

namespace cove::text::grammar {

// A vocabulary's tokens in the order of their bytes, so that common beginnings are walked once. Immutable; made once
// per model.
class SortedVocabulary {
 public:
  explicit SortedVocabulary(const Tokenizer& tokenizer);

  struct Entry {
    int32_t token = 0;
    int32_t shared = 0;  // bytes in common with the entry before
  };
  std::span<const Entry> entries() const { return entries_; }
  std::string_view bytes(int32_t token) const { return tokenizer_->token_bytes(token); }
  int32_t vocab_size() const { return tokenizer_->vocab_size(); }

 private:
  const Tokenizer* tokenizer_;
  std::vector<Entry> entries_;  // without control tokens and empty ones
};

// A text as it grows under a grammar, token by token. One per sequence, one thread.
class GrammarMatcher {
 public:
  GrammarMatcher(std::shared_ptr<const Grammar> grammar, std::shared_ptr<const SortedVocabulary> vocabulary);

  // Bit i = token i may come next; (vocab + 31) / 32 words. Valid until the next call of a member.
  std::span<const uint32_t> allowed();
  // The text may end here.
  bool complete() const { return node_ != Automaton::kDead && automaton_.accepting(node_); }
  // A token that was not allowed leads nowhere: from then on nothing is allowed.
  void accept(int32_t token);

 private:
  struct Mask {
    Automaton::Node node = Automaton::kDead;
    std::vector<uint32_t> bits;
  };
  void compute(std::vector<uint32_t>& bits);

  std::shared_ptr<const SortedVocabulary> vocabulary_;
  Automaton automaton_;
  Automaton::Node node_;
  std::vector<Mask> masks_;  // the latest; nodes come back, as the inside of strings does
  size_t next_mask_ = 0;
  std::vector<uint32_t> none_;
};

}  // namespace cove::text::grammar
