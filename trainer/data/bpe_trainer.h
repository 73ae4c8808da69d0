#pragma once
// Learns the merges of a byte-level BPE (Sennrich et al. 2016) from counted pieces, deterministic, and writes the
// tokenizer.json that Hugging Face tokenizers and cove::text::Tokenizer read. Called by `cove-train data tokenizer`.

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/result.h"

namespace cove::trainer {

// Piece (raw bytes, as the pre-tokenizer cuts them) -> how often it occurs.
using PieceCounts = std::unordered_map<std::string, int64_t>;

struct BpeVocabulary {
  std::vector<std::string> tokens;  // raw bytes; the 256 bytes first, then one per merge
  std::vector<std::pair<std::string, std::string>> merges;
};

// Learns merges until the vocabulary has `tokens_wanted` entries or no pair occurs twice. Among pairs of equal count
// the one whose bytes compare smaller wins, so the result depends on the counts alone.
BpeVocabulary train_bpe(const PieceCounts& counts, size_t tokens_wanted);

struct SpecialToken {
  std::string text;
  bool special = true;  // a control token; false: shown to readers (<think>)
};

// The published form: Qwen2's pre-tokenizer, special tokens after the learned ones in the given order, no normaliser.
std::string tokenizer_json(const BpeVocabulary& vocabulary, const std::vector<SpecialToken>& special_tokens);

}  // namespace cove::trainer
