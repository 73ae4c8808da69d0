#pragma once
// Byte-pair encoding of one word: starts from its bytes and merges the neighbours of lowest rank (leftmost first) until
// none can be merged. Immutable; safe from any thread.

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/tokenizer/merge_table.h"
#include "text/tokenizer/vocabulary.h"
#include "text/tokenizer/whole_characters.h"

namespace cove::text {

class BpeModel {
 public:
  // true: a word that is itself a token becomes that token without merging (Llama 3's ignore_merges, tiktoken).
  enum class WholeWords { kMerged, kLookedUpFirst };

  // `vocabulary` is sealed and has at least the single bytes that will be met; the caller inserts into `merges` only
  // ids of it.
  static BpeModel create(Vocabulary vocabulary, MergeTable merges, WholeWords whole_words);

  // Appends the ids of one word of at least one byte. Errors: kUnsupported, a byte that the vocabulary lacks.
  Status encode_word(std::string_view word, std::vector<int32_t>& ids) const;

  const Vocabulary& vocabulary() const { return vocabulary_; }
  Vocabulary& vocabulary() { return vocabulary_; }  // for the loader, which gives added tokens their bytes

 private:
  BpeModel(Vocabulary vocabulary, MergeTable merges) : vocabulary_(std::move(vocabulary)), merges_(std::move(merges)) {}
  void encode_uncached(std::string_view word, std::vector<int32_t>& ids) const;
  size_t first_parts(std::string_view word, int32_t* parts) const;
  void merge_short(std::string_view word, std::vector<int32_t>& ids) const;
  void merge_long(std::string_view word, std::vector<int32_t>& ids) const;

  Vocabulary vocabulary_;
  MergeTable merges_;
  WholeWords whole_words_ = WholeWords::kMerged;
  std::array<int32_t, 256> byte_ids_{};
  WholeCharacters whole_characters_;
  bool every_byte_known_ = false;
  uint32_t cache_owner_ = 0;  // tells this model's words from others' in the threads' caches
};

}  // namespace cove::text
