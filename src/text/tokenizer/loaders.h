#pragma once
// What the loaders of the published tokenizer forms share. Internal to the tokenizer.

#include <filesystem>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "text/tokenizer/bpe_tokenizer.h"

namespace cove {
class FileSource;
}

namespace cove::text {

// Vocabulary and merges as published, spelled in the byte alphabet. Views must live until build_model returns.
struct PublishedBpe {
  struct Token {
    std::string_view text;
    int64_t id = 0;
    bool literal = false;  // an added token: not spelled in the byte alphabet, takes part in no merge
  };
  std::vector<Token> tokens;
  std::vector<std::pair<std::string_view, std::string_view>> merges;  // lowest rank first
  BpeModel::WholeWords whole_words = BpeModel::WholeWords::kMerged;
};

// Tokens that cannot be spelled in the byte alphabet are taken literally too. Errors: kDataCorrupt, an id out of
// range or given twice, a merge of something that is not in the vocabulary.
Result<BpeModel> build_model(const PublishedBpe& published);

// "left right" -> the two; the space is the separator, since the alphabet has none. Errors: kDataCorrupt, naming the
// line.
Result<std::pair<std::string_view, std::string_view>> split_merge(std::string_view merge, size_t line);

// What tokenizer_config.json adds: tokens that tokenizer.json lacks, BOS and EOS. `config` may be null. Fills
// parts.added, bos_id, eos_id and, when the post-processor added nothing, prefix and suffix from add_bos_token and
// add_eos_token.
Status apply_tokenizer_config(const json::value& config, BpeTokenizer::Parts& parts);

// BOS and EOS by the names that published models use, for files that do not say; keeps what is set.
void guess_bos_and_eos(BpeTokenizer::Parts& parts);

// The special tokens of Qwen2.5, Llama 3 and DeepSeek V3, for files that hold the vocabulary alone.
std::vector<AddedToken> qwen2_added_tokens();
std::vector<AddedToken> llama3_added_tokens();
std::vector<AddedToken> deepseek_v3_added_tokens();

// The forms other than tokenizer.json, by file.
Result<std::unique_ptr<Tokenizer>> load_vocab_and_merges(const FileSource& files);  // vocab.json + merges.txt
Result<std::unique_ptr<Tokenizer>> load_tiktoken(std::string_view ranks);           // *.tiktoken

}  // namespace cove::text
