// Parts that every published form needs: the merge table, and what tokenizer_config.json says.
#include <algorithm>

#include <fmt/format.h>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/string.hpp>

#include "text/tokenizer/byte_alphabet.h"
#include "text/tokenizer/loaders.h"

namespace cove::text {
namespace {

constexpr size_t kMergesMax = size_t{1} << 23;

Result<int32_t> find_part(const Vocabulary& vocabulary, std::string_view bytes, size_t line,
                          std::string_view published) {
  if (const auto id = vocabulary.find(bytes)) return *id;
  return data_corrupt(fmt::format("merge {}: '{}' is not in the vocabulary", line, published));
}

Status insert_merge(const Vocabulary& vocabulary, const std::pair<std::string_view, std::string_view>& merge,
                    size_t line, MergeTable& table) {
  std::string bytes;
  const bool left_spelled = append_alphabet_bytes(merge.first, bytes);
  const size_t left_bytes = bytes.size();
  if (!left_spelled || !append_alphabet_bytes(merge.second, bytes) || left_bytes == 0 || left_bytes == bytes.size()) {
    return data_corrupt(
        fmt::format("merge {}: '{} {}' is not spelled in the byte alphabet", line, merge.first, merge.second));
  }
  const std::string_view whole = bytes;
  TRY_ASSIGN(const int32_t left, find_part(vocabulary, whole.substr(0, left_bytes), line, merge.first));
  TRY_ASSIGN(const int32_t right, find_part(vocabulary, whole.substr(left_bytes), line, merge.second));
  TRY_ASSIGN(const int32_t result, find_part(vocabulary, whole, line, fmt::format("{}{}", merge.first, merge.second)));
  table.insert(left, right, {static_cast<uint32_t>(line), result});
  return {};
}

// A token as tokenizer_config.json names it: a string, or an object with "content".
std::optional<std::string_view> token_text(const json::value* value) {
  if (value == nullptr) return std::nullopt;
  if (const json::value* content = find_member(*value, "content")) value = content;
  const json::string* text = value->if_string();
  if (text == nullptr || text->empty()) return std::nullopt;
  return std::string_view(*text);
}

bool is_true(const json::value* value) { return value != nullptr && value->is_bool() && value->get_bool(); }

std::optional<int32_t> find_added(const BpeTokenizer::Parts& parts, std::string_view content) {
  for (const AddedToken& token : parts.added) {
    if (token.content == content) return token.id;
  }
  return parts.model.vocabulary().find(content);
}

std::optional<int32_t> first_added(const BpeTokenizer::Parts& parts, std::initializer_list<std::string_view> names) {
  for (const std::string_view name : names) {
    for (const AddedToken& token : parts.added) {
      if (token.content == name) return token.id;
    }
  }
  return std::nullopt;
}

Status add_config_token(const json::key_value_pair& entry, BpeTokenizer::Parts& parts) {
  const std::string_view key = entry.key();
  int64_t id = 0;
  for (const char digit : key) {
    if (digit < '0' || digit > '9' || id >= kTokenIdEnd)
      return data_corrupt(fmt::format("added_tokens_decoder: '{}' is not a token id", key));
    id = id * 10 + (digit - '0');
  }
  const auto content = token_text(&entry.value());
  if (key.empty() || id >= kTokenIdEnd || !content)
    return data_corrupt(fmt::format("added_tokens_decoder: '{}' is not a token", key));
  const bool known = std::any_of(parts.added.begin(), parts.added.end(),
                                 [&](const AddedToken& token) { return token.id == id || token.content == *content; });
  if (known) return {};
  parts.added.push_back({.content = std::string(*content),
                         .id = static_cast<int32_t>(id),
                         .special = is_true(find_member(entry.value(), "special")),
                         .normalized = is_true(find_member(entry.value(), "normalized")),
                         .single_word = is_true(find_member(entry.value(), "single_word")),
                         .lstrip = is_true(find_member(entry.value(), "lstrip")),
                         .rstrip = is_true(find_member(entry.value(), "rstrip"))});
  return {};
}

}  // namespace

Result<std::pair<std::string_view, std::string_view>> split_merge(std::string_view merge, size_t line) {
  const size_t space = merge.find(' ', 1);
  if (space == std::string_view::npos || space + 1 >= merge.size()) {
    return data_corrupt(fmt::format("merge {}: '{}' is not two tokens with a space between", line, merge));
  }
  return std::pair(merge.substr(0, space), merge.substr(space + 1));
}

Result<BpeModel> build_model(const PublishedBpe& published) {
  if (published.tokens.empty()) return data_corrupt("the vocabulary is empty");
  if (published.merges.size() > kMergesMax) {
    return data_corrupt(fmt::format("{} merges are more than the limit of {}", published.merges.size(), kMergesMax));
  }
  Vocabulary vocabulary;
  std::string bytes;
  for (const PublishedBpe::Token& token : published.tokens) {
    bytes.clear();
    const bool spelled = !token.literal && append_alphabet_bytes(token.text, bytes);
    TRY(vocabulary.add(token.id, spelled ? bytes : token.text, spelled && !bytes.empty()));
  }
  vocabulary.seal();
  MergeTable table(published.merges.size());
  for (size_t line = 0; line < published.merges.size(); ++line)
    TRY(insert_merge(vocabulary, published.merges[line], line, table));
  return BpeModel::create(std::move(vocabulary), std::move(table), published.whole_words);
}

Status apply_tokenizer_config(const json::value& config, BpeTokenizer::Parts& parts) {
  if (const json::value* tokens = find_member(config, "added_tokens_decoder");
      tokens != nullptr && tokens->is_object()) {
    for (const json::key_value_pair& entry : tokens->get_object()) TRY(add_config_token(entry, parts));
  }
  if (const auto text = token_text(find_member(config, "bos_token"))) parts.bos_id = find_added(parts, *text);
  if (const auto text = token_text(find_member(config, "eos_token"))) parts.eos_id = find_added(parts, *text);
  if (!parts.prefix.empty() || !parts.suffix.empty()) return {};
  if (is_true(find_member(config, "add_bos_token")) && parts.bos_id) parts.prefix = {*parts.bos_id};
  if (is_true(find_member(config, "add_eos_token")) && parts.eos_id) parts.suffix = {*parts.eos_id};
  return {};
}

void guess_bos_and_eos(BpeTokenizer::Parts& parts) {
  if (!parts.bos_id) parts.bos_id = first_added(parts, {"<｜begin▁of▁sentence｜>", "<|begin_of_text|>", "<s>"});
  if (!parts.eos_id)
    parts.eos_id =
        first_added(parts, {"<｜end▁of▁sentence｜>", "<|im_end|>", "<|end_of_text|>", "<|endoftext|>", "</s>"});
}

}  // namespace cove::text
