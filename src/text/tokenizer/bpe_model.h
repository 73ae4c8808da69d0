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
#include "text/tokenizer/vocabulary.h"

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
  void merge_short(std::string_view word, std::vector<int32_t>& ids) const;
  void merge_long(std::string_view word, std::vector<int32_t>& ids) const;

  Vocabulary vocabulary_;
  MergeTable merges_;
  WholeWords whole_words_ = WholeWords::kMerged;
  std::array<int32_t, 256> byte_ids_{};
  bool every_byte_known_ = false;
  uint32_t cache_owner_ = 0;  // tells this model's words from others' in the threads' caches
};

}  // namespace cove::text
