#include "engine/loading/vocabulary_writer.h"

#include <algorithm>

#include <fmt/format.h>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "base/check.h"
#include "base/file.h"
#include "base/json.h"
#include "base/utf8.h"

namespace cove::engine {
namespace {

constexpr std::string_view kTemplate =
    "{{ bos_token }}{% for message in messages %}{{ message['role'] + ': ' + message['content'] + '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}";

// GPT-2's table: printable bytes stand for themselves, the others for code points from 256 on.
std::vector<std::string> byte_tokens() {
  std::vector<std::string> tokens;
  char32_t next = 256;
  for (char32_t byte = 0; byte < 256; ++byte) {
    const bool printable = (byte >= 33 && byte < 127) || (byte >= 161 && byte < 173) || byte >= 174;
    std::string token;
    append_utf8(token, printable ? byte : next++);
    tokens.push_back(std::move(token));
  }
  return tokens;
}

json::object split_pre_tokenizer() {
  constexpr std::string_view kQwen2 =
      R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
  return {{"type", "Sequence"},
          {"pretokenizers",
           json::array{json::object{{"type", "Split"},
                                    {"pattern", json::object{{"Regex", kQwen2}}},
                                    {"behavior", "Isolated"},
                                    {"invert", false}},
                       json::object{{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}}}}};
}

json::object tokenizer_json(const SmallVocabulary& vocabulary) {
  json::object vocab;
  json::array added;
  for (size_t i = 0; i < vocabulary.tokens.size(); ++i) {
    const auto id = static_cast<int32_t>(i);
    if (id != vocabulary.bos_id && id != vocabulary.eos_id) {
      vocab[vocabulary.tokens[i]] = id;
      continue;
    }
    added.push_back(json::object{{"id", id},
                                 {"content", vocabulary.tokens[i]},
                                 {"single_word", false},
                                 {"lstrip", false},
                                 {"rstrip", false},
                                 {"normalized", false},
                                 {"special", true}});
  }
  return {{"version", "1.0"},
          {"added_tokens", std::move(added)},
          {"normalizer", nullptr},
          {"pre_tokenizer", split_pre_tokenizer()},
          {"post_processor", nullptr},
          {"decoder", json::object{{"type", "ByteLevel"}}},
          {"model", json::object{{"type", "BPE"}, {"vocab", std::move(vocab)}, {"merges", json::array{}}}}};
}

}  // namespace

SmallVocabulary make_small_vocabulary(int64_t size) {
  COVE_CHECK(size >= 258 && size <= INT32_MAX);
  SmallVocabulary vocabulary{.tokens = byte_tokens(),
                             .bos_id = static_cast<int32_t>(size - 2),
                             .eos_id = static_cast<int32_t>(size - 1),
                             .chat_template = std::string(kTemplate)};
  for (int64_t id = 256; id < size - 2; ++id) vocabulary.tokens.push_back(fmt::format("<t{}>", id));
  vocabulary.tokens.emplace_back("<|begin|>");
  vocabulary.tokens.emplace_back("<|end|>");
  return vocabulary;
}

void add_vocabulary(GgufPairs& pairs, const SmallVocabulary& vocabulary) {
  constexpr int32_t kNormal = 1;
  constexpr int32_t kControl = 3;
  std::vector<int32_t> types(vocabulary.tokens.size(), kNormal);
  types[static_cast<size_t>(vocabulary.bos_id)] = types[static_cast<size_t>(vocabulary.eos_id)] = kControl;
  pairs.add("tokenizer.ggml.model", "gpt2");
  pairs.add("tokenizer.ggml.pre", "qwen2");
  pairs.add_strings("tokenizer.ggml.tokens", vocabulary.tokens);
  pairs.add_i32s("tokenizer.ggml.token_type", types);
  pairs.add_strings("tokenizer.ggml.merges", {});
  pairs.add_bool("tokenizer.ggml.add_bos_token", false);
  pairs.add("tokenizer.chat_template", vocabulary.chat_template);
}

Status write_tokenizer_files(const std::filesystem::path& directory, const SmallVocabulary& vocabulary) {
  TRY(write_file_atomic(directory / "tokenizer.json", json::serialize(tokenizer_json(vocabulary)) + "\n"));
  const json::object config = {{"bos_token", vocabulary.tokens[static_cast<size_t>(vocabulary.bos_id)]},
                               {"eos_token", vocabulary.tokens[static_cast<size_t>(vocabulary.eos_id)]},
                               {"chat_template", vocabulary.chat_template}};
  return write_file_atomic(directory / "tokenizer_config.json", json::serialize(config) + "\n");
}

}  // namespace cove::engine
