// The tokenizer that a GGUF file carries in its metadata.
#include <algorithm>

#include <fmt/format.h>

#include "text/tokenizer/loaders.h"

namespace cove::text {
namespace {

constexpr int32_t kTypeUnknown = 2;
constexpr int32_t kTypeControl = 3;
constexpr int32_t kTypeUserDefined = 4;

Status check(const GgufVocab& vocab) {
  if (vocab.model != "gpt2") {
    return Error{ErrorCode::kUnsupported,
                 fmt::format("tokenizer.ggml.model '{}' is not supported, only 'gpt2' (byte-level BPE); '{}' is "
                             "a SentencePiece, WordPiece or other vocabulary",
                             vocab.model, vocab.model)};
  }
  if (vocab.tokens.empty()) return data_corrupt("tokenizer.ggml.tokens is empty");
  if (vocab.tokens.size() > static_cast<size_t>(kTokenIdEnd)) {
    return data_corrupt(
        fmt::format("tokenizer.ggml.tokens has {} entries, more than {}", vocab.tokens.size(), kTokenIdEnd));
  }
  if (!vocab.token_types.empty() && vocab.token_types.size() != vocab.tokens.size()) {
    return data_corrupt(fmt::format("tokenizer.ggml.token_type has {} entries, tokenizer.ggml.tokens {}",
                                    vocab.token_types.size(), vocab.tokens.size()));
  }
  for (const auto& [id, name] : {std::pair(vocab.bos_id, "bos"), std::pair(vocab.eos_id, "eos")}) {
    if (id && (*id < 0 || static_cast<size_t>(*id) >= vocab.tokens.size())) {
      return data_corrupt(
          fmt::format("tokenizer.ggml.{}_token_id {} is outside the vocabulary of {}", name, *id, vocab.tokens.size()));
    }
  }
  return {};
}

bool is_added(const GgufVocab& vocab, size_t id) {
  if (vocab.token_types.empty())
    return static_cast<int32_t>(id) == vocab.bos_id || static_cast<int32_t>(id) == vocab.eos_id;
  const int32_t type = vocab.token_types[id];
  return type == kTypeUnknown || type == kTypeControl || type == kTypeUserDefined;
}

std::vector<AddedToken> added_tokens(const GgufVocab& vocab) {
  std::vector<AddedToken> added;
  for (size_t id = 0; id < vocab.tokens.size(); ++id) {
    const std::string& text = vocab.tokens[id];
    if (!is_added(vocab, id) || text.empty()) continue;
    const bool control = vocab.token_types.empty() || vocab.token_types[id] != kTypeUserDefined;
    added.push_back({.content = text, .id = static_cast<int32_t>(id), .special = control});
  }
  return added;
}

// GGUF does not say whether the original normalizes; of the known pre-tokenizers those of the Qwen2 family do.
BpeTokenizer::Normalization normalization_of(std::string_view pre) {
  const bool nfc = pre == "qwen2" || pre == "deepseek-r1-qwen";
  return nfc ? BpeTokenizer::Normalization::kNfc : BpeTokenizer::Normalization::kNone;
}

bool looks_up_whole_words(std::string_view pre) {
  return pre == "llama-bpe" || pre == "llama3" || pre == "llama-v3" || pre == "falcon3";
}

}  // namespace

Result<std::unique_ptr<Tokenizer>> Tokenizer::from_gguf(const GgufVocab& vocab) {
  TRY(check(vocab));
  TRY_ASSIGN(PreTokenizer pre, PreTokenizer::from_gguf_name(vocab.pre));
  PublishedBpe published;
  if (looks_up_whole_words(vocab.pre)) published.whole_words = BpeModel::WholeWords::kLookedUpFirst;
  for (size_t id = 0; id < vocab.tokens.size(); ++id) {
    published.tokens.push_back({vocab.tokens[id], static_cast<int64_t>(id), is_added(vocab, id)});
  }
  for (const std::string& merge : vocab.merges) {
    TRY_ASSIGN(const auto pair, split_merge(merge, published.merges.size()));
    published.merges.push_back(pair);
  }
  auto model = build_model(published);
  if (!model) return with_context(std::move(model).error(), "tokenizer.ggml");
  BpeTokenizer::Parts parts{.model = std::move(*model), .pre_tokenizer = std::move(pre)};
  parts.normalization = normalization_of(vocab.pre);
  parts.added = added_tokens(vocab);
  parts.bos_id = vocab.bos_id;
  parts.eos_id = vocab.eos_id;
  if (vocab.add_bos && vocab.bos_id) parts.prefix = {*vocab.bos_id};
  return BpeTokenizer::create(std::move(parts));
}

}  // namespace cove::text
