// Ranks files of tiktoken: one "base64 rank" a line. They name neither the pre-tokenizer nor the special tokens, so
// only the vocabularies that Cove can tell by their size and first token are read.
#include <array>
#include <charconv>

#include <fmt/format.h>

#include "text/tokenizer/byte_alphabet.h"
#include "text/tokenizer/loaders.h"

namespace cove::text {
namespace {

constexpr size_t kTokenBytesMax = 1024;

constexpr std::array<int8_t, 256> make_base64_values() {
  std::array<int8_t, 256> values{};
  for (int8_t& value : values) value = -1;
  const std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (size_t i = 0; i < digits.size(); ++i) values[static_cast<unsigned char>(digits[i])] = static_cast<int8_t>(i);
  return values;
}

constexpr std::array<int8_t, 256> kBase64Values = make_base64_values();

bool decode_base64(std::string_view text, std::string& bytes) {
  bytes.clear();
  while (!text.empty() && text.back() == '=') text.remove_suffix(1);
  uint32_t bits = 0;
  int bits_held = 0;
  for (const char c : text) {
    const int8_t value = kBase64Values[static_cast<unsigned char>(c)];
    if (value < 0) return false;
    bits = bits << 6 | static_cast<uint32_t>(value);
    bits_held += 6;
    if (bits_held >= 8) {
      bits_held -= 8;
      bytes += static_cast<char>(bits >> bits_held & 0xFF);
    }
  }
  return !bytes.empty();
}

struct Ranks {
  Vocabulary vocabulary;
  std::vector<int32_t> ids;
};

Status read_line(std::string_view line, size_t number, std::string& bytes, Ranks& ranks) {
  const size_t space = line.find(' ');
  const std::string_view digits = space == std::string_view::npos ? std::string_view() : line.substr(space + 1);
  int64_t id = -1;
  const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), id);
  if (digits.empty() || parsed.ec != std::errc() || parsed.ptr != digits.data() + digits.size() ||
      !decode_base64(line.substr(0, space), bytes) || bytes.size() > kTokenBytesMax) {
    return data_corrupt(fmt::format("line {} is not \"base64 rank\"", number));
  }
  if (Status added = ranks.vocabulary.add(id, bytes, true); !added)
    return with_context(std::move(added).error(), fmt::format("line {}", number));
  ranks.ids.push_back(static_cast<int32_t>(id));
  return {};
}

// Some files give the tokens as vocab.json spells them, in the byte alphabet: then no single byte above ASCII is a
// token.
Result<Ranks> read_spelling(Ranks ranks) {
  if (ranks.vocabulary.find("\xFF") || !ranks.vocabulary.find("ÿ")) return ranks;
  Ranks spelled;
  std::string bytes;
  for (const int32_t id : ranks.ids) {
    bytes.clear();
    const std::string_view published = ranks.vocabulary.bytes(id);
    const bool known = append_alphabet_bytes(published, bytes);
    TRY(spelled.vocabulary.add(id, known ? bytes : published, known));
  }
  spelled.vocabulary.seal();
  spelled.ids = std::move(ranks.ids);
  return spelled;
}

Result<Ranks> read_ranks(std::string_view text) {
  Ranks ranks;
  std::string bytes;
  for (size_t number = 1; !text.empty(); ++number) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (!line.empty()) TRY(read_line(line, number, bytes, ranks));
  }
  if (ranks.ids.empty()) return data_corrupt("has no ranks");
  ranks.vocabulary.seal();
  return read_spelling(std::move(ranks));
}

// tiktoken merges any two neighbours whose bytes together are a token, lowest rank first: every way to cut a token in
// two is a merge.
MergeTable every_split(const Ranks& ranks) {
  struct Split {
    int32_t left;
    int32_t right;
    int32_t whole;
  };
  std::vector<Split> splits;
  for (const int32_t id : ranks.ids) {
    const std::string_view bytes = ranks.vocabulary.bytes(id);
    for (size_t cut = 1; cut < bytes.size(); ++cut) {
      const auto left = ranks.vocabulary.find(bytes.substr(0, cut));
      if (!left) continue;
      if (const auto right = ranks.vocabulary.find(bytes.substr(cut))) splits.push_back({*left, *right, id});
    }
  }
  MergeTable table(splits.size());
  for (const Split& split : splits)
    table.insert(split.left, split.right, {static_cast<uint32_t>(split.whole), split.whole});
  return table;
}

}  // namespace

Result<std::unique_ptr<Tokenizer>> load_tiktoken(std::string_view text) {
  TRY_ASSIGN(Ranks ranks, read_ranks(text));
  std::optional<PreTokenizer> pre;
  std::vector<AddedToken> added;
  auto normalization = BpeTokenizer::Normalization::kNone;
  if (ranks.vocabulary.bytes(0) == "<｜begin▁of▁sentence｜>") {
    pre = PreTokenizer::deepseek_v3();
    added = deepseek_v3_added_tokens();
  } else if (ranks.ids.size() == 128000 && ranks.vocabulary.bytes(0) == "!") {
    pre = PreTokenizer::llama3();
    added = llama3_added_tokens();
  } else if (ranks.ids.size() == 151643 && ranks.vocabulary.bytes(0) == "!") {
    pre = PreTokenizer::qwen2();
    added = qwen2_added_tokens();
    normalization = BpeTokenizer::Normalization::kNfc;
  } else {
    return Error{ErrorCode::kUnsupported,
                 fmt::format("a ranks file of {} tokens is not one that Cove knows (Llama 3, Qwen2, DeepSeek V3); "
                             "use the model's tokenizer.json",
                             ranks.ids.size())};
  }
  MergeTable merges = every_split(ranks);
  BpeTokenizer::Parts parts{
      .model = BpeModel::create(std::move(ranks.vocabulary), std::move(merges), BpeModel::WholeWords::kLookedUpFirst),
      .pre_tokenizer = std::move(*pre)};
  parts.normalization = normalization;
  parts.added = std::move(added);
  guess_bos_and_eos(parts);
  return BpeTokenizer::create(std::move(parts));
}

}  // namespace cove::text
