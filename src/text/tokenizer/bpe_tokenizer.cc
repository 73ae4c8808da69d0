#include "text/tokenizer/bpe_tokenizer.h"

#include <fmt/format.h>

#include "base/utf8.h"
#include "text/tokenizer/byte_alphabet.h"
#include "text/tokenizer/normalizer.h"

namespace cove::text {
namespace {

// Tags that the parsers of reasoning and tool calls read. Some files, and most GGUF converters, mark them as control
// tokens, but they are part of the text.
bool is_tag_to_parse(std::string_view text) {
  return text == "<think>" || text == "</think>" || text.starts_with("<｜tool▁") || text.starts_with("<tool_") ||
         text.starts_with("</tool_");
}

}  // namespace

Result<std::unique_ptr<Tokenizer>> BpeTokenizer::create(Parts parts) {
  std::unique_ptr<BpeTokenizer> made(new BpeTokenizer(std::move(parts)));
  TRY(made->install_added_tokens());
  for (const auto& ids : {made->parts_.prefix, made->parts_.suffix}) {
    for (const int32_t id : ids) {
      if (!made->parts_.model.vocabulary().has(id))
        return data_corrupt(fmt::format("the post-processor adds token {}, which does not exist", id));
    }
  }
  return std::unique_ptr<Tokenizer>(std::move(made));
}

Status BpeTokenizer::install_added_tokens() {
  std::vector<AddedToken> raw;
  std::vector<AddedToken> normalized;
  for (const AddedToken& token : parts_.added) {
    TRY(set_bytes(token));
    const auto [known, fresh] = added_ids_.try_emplace(token.content, token.id);
    if (!fresh && known->second != token.id) {
      return data_corrupt(
          fmt::format("added token '{}' has two ids, {} and {}", token.content, known->second, token.id));
    }
    if (token.special && !is_tag_to_parse(token.content)) {
      control_.resize(static_cast<size_t>(vocab_size()));
      control_[static_cast<size_t>(token.id)] = true;
    }
    if (token.normalized) {
      std::string buffer;
      normalized.push_back(token);
      normalized.back().content = std::string(normalize(token.content, buffer));
    } else {
      raw.push_back(token);
    }
  }
  TRY_ASSIGN(raw_matcher_, AddedTokenMatcher::create(raw));
  TRY_ASSIGN(normalized_matcher_, AddedTokenMatcher::create(normalized));
  return {};
}

// An added token's bytes are its text. Only where the model's own list spells the same text in the byte alphabet, its
// bytes stay: BPE produces that id too.
Status BpeTokenizer::set_bytes(const AddedToken& token) {
  Vocabulary& vocabulary = parts_.model.vocabulary();
  std::string spelled;
  const bool same = append_alphabet_bytes(token.content, spelled) && vocabulary.has(token.id) &&
                    vocabulary.bytes(token.id) == spelled;
  return same ? Status{} : vocabulary.replace(token.id, token.content);
}

std::string_view BpeTokenizer::normalize(std::string_view text, std::string& buffer) const {
  return parts_.normalization == Normalization::kNfc ? normalize_nfc(text, buffer) : text;
}

std::optional<int32_t> BpeTokenizer::find_token(std::string_view text) const {
  if (const auto found = added_ids_.find(std::string(text)); found != added_ids_.end()) return found->second;
  return parts_.model.vocabulary().find(text);
}

Result<std::vector<int32_t>> BpeTokenizer::encode(std::string_view text, const EncodeOptions& options) const {
  if (const size_t bad = find_invalid_utf8(text); bad != std::string_view::npos) {
    return invalid_argument(fmt::format("the text is not well-formed UTF-8 at byte {}", bad));
  }
  std::vector<int32_t> ids;
  ids.reserve(text.size() / 4 + 8);
  if (options.add_special) ids = parts_.prefix;
  if (options.parse_special) {
    TRY(encode_with_added(text, ids));
  } else {
    std::string buffer;
    TRY(encode_plain(normalize(text, buffer), ids));
  }
  if (options.add_special) ids.insert(ids.end(), parts_.suffix.begin(), parts_.suffix.end());
  return ids;
}

Status BpeTokenizer::encode_with_added(std::string_view text, std::vector<int32_t>& ids) const {
  std::string buffer;
  const auto take_token = [&](int32_t id) { ids.push_back(id); };
  const auto take_words = [&](std::string_view words) { return encode_plain(words, ids); };
  const auto take_raw = [&](std::string_view raw) {
    return normalized_matcher_.cut(normalize(raw, buffer), take_words, take_token);
  };
  return raw_matcher_.cut(text, take_raw, take_token);
}

Status BpeTokenizer::encode_plain(std::string_view text, std::vector<int32_t>& ids) const {
  Status status;
  const auto take_word = [&](std::string_view word) {
    if (Status encoded = parts_.model.encode_word(word, ids); !encoded && status) status = std::move(encoded);
  };
  TRY(parts_.pre_tokenizer.split(text, take_word));
  return status;
}

}  // namespace cove::text
