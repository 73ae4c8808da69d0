#include "engine/loading/text_files.h"

#include <fmt/format.h>
#include <boost/json/array.hpp>

#include "base/json.h"

namespace cove::engine {
namespace {

constexpr size_t kConfigBytesMax = 256U << 20;  // tokenizer_config.json of large vocabularies holds some megabytes
constexpr size_t kTemplateBytesMax = 4U << 20;

Result<std::optional<json::value>> read_json(const FileSource& files, const std::string& name) {
  if (!files.has(name)) return std::optional<json::value>();
  TRY_ASSIGN(const std::string text, files.read(name, kConfigBytesMax));
  auto value = parse_json(text);
  if (!value) return with_context(std::move(value).error(), name);
  return std::optional<json::value>(std::move(*value));
}

// "bos_token": "<s>" or {"content": "<s>", ...}; empty when absent or null.
std::string token_text(const json::value& config, std::string_view key) {
  const json::value* token = find_member(config, key);
  if (token != nullptr && token->is_object()) token = find_member(*token, "content");
  return token != nullptr && token->is_string() ? std::string(token->get_string()) : "";
}

// One template, or a list of {"name", "template"} of which "default" is for chat.
Result<std::string> template_member(const json::value& config, const std::string& file_name) {
  const json::value* member = find_member(config, "chat_template");
  if (member == nullptr || member->is_null()) return std::string();
  if (member->is_string()) return std::string(member->get_string());
  if (const json::array* list = member->if_array()) {
    for (const json::value& item : *list) {
      const json::value* name = find_member(item, "name");
      const json::value* source = find_member(item, "template");
      if (name != nullptr && source != nullptr && source->is_string() && *name == "default") {
        return std::string(source->get_string());
      }
    }
  }
  return data_corrupt(
      fmt::format("{}: chat_template is neither a string nor a list with a template named 'default'", file_name));
}

Result<std::string> find_template(const FileSource& files, const std::optional<json::value>& tokenizer_config) {
  if (files.has("chat_template.jinja")) return files.read("chat_template.jinja", kTemplateBytesMax);
  if (tokenizer_config) {
    TRY_ASSIGN(std::string source, template_member(*tokenizer_config, "tokenizer_config.json"));
    if (!source.empty()) return source;
  }
  TRY_ASSIGN(const auto processor, read_json(files, "chat_template.json"));
  if (processor) return template_member(*processor, "chat_template.json");
  return std::string();
}

Result<std::optional<int32_t>> token_id(const GgufMetadata& metadata, std::string_view key, size_t vocab) {
  const std::optional<int64_t> id = metadata.integer(key);
  if (!id) return std::optional<int32_t>();
  if (*id < 0 || static_cast<uint64_t>(*id) >= vocab) {
    return data_corrupt(fmt::format("metadata '{}' is {}, but there are {} tokens", key, *id, vocab));
  }
  return std::optional<int32_t>(static_cast<int32_t>(*id));
}

Result<text::GgufVocab> read_vocab(const GgufMetadata& metadata) {
  const auto missing = [](std::string_view key) { return data_corrupt(fmt::format("metadata '{}' is missing", key)); };
  text::GgufVocab vocab;
  const auto model = metadata.string("tokenizer.ggml.model");
  if (!model) return missing("tokenizer.ggml.model");
  vocab.model = *model;
  vocab.pre = metadata.string("tokenizer.ggml.pre").value_or("");
  auto tokens = metadata.strings("tokenizer.ggml.tokens");
  if (!tokens) return missing("tokenizer.ggml.tokens");
  vocab.tokens = std::move(*tokens);
  vocab.merges = metadata.strings("tokenizer.ggml.merges").value_or(std::vector<std::string>());
  for (const int64_t type : metadata.integers("tokenizer.ggml.token_type").value_or(std::vector<int64_t>())) {
    vocab.token_types.push_back(static_cast<int32_t>(type));
  }
  if (!vocab.token_types.empty() && vocab.token_types.size() != vocab.tokens.size()) {
    return data_corrupt(fmt::format("metadata 'tokenizer.ggml.token_type' has {} entries for {} tokens",
                                    vocab.token_types.size(), vocab.tokens.size()));
  }
  TRY_ASSIGN(vocab.bos_id, token_id(metadata, "tokenizer.ggml.bos_token_id", vocab.tokens.size()));
  TRY_ASSIGN(vocab.eos_id, token_id(metadata, "tokenizer.ggml.eos_token_id", vocab.tokens.size()));
  vocab.add_bos = metadata.boolean("tokenizer.ggml.add_bos_token").value_or(false);
  return vocab;
}

}  // namespace

Result<std::unique_ptr<text::Tokenizer>> tokenizer_from_gguf(const GgufMetadata& metadata) {
  TRY_ASSIGN(const text::GgufVocab vocab, read_vocab(metadata));
  return text::Tokenizer::from_gguf(vocab);
}

Result<ChatTemplateSource> chat_template_from_gguf(const GgufMetadata& metadata) {
  ChatTemplateSource found;
  found.source = metadata.string("tokenizer.chat_template").value_or("");
  const auto tokens = metadata.strings("tokenizer.ggml.tokens");
  if (!tokens) return found;
  TRY_ASSIGN(const auto bos, token_id(metadata, "tokenizer.ggml.bos_token_id", tokens->size()));
  TRY_ASSIGN(const auto eos, token_id(metadata, "tokenizer.ggml.eos_token_id", tokens->size()));
  if (bos) found.bos_token = (*tokens)[static_cast<size_t>(*bos)];
  if (eos) found.eos_token = (*tokens)[static_cast<size_t>(*eos)];
  return found;
}

Result<ChatTemplateSource> chat_template_from_files(const FileSource& files) {
  TRY_ASSIGN(const auto config, read_json(files, "tokenizer_config.json"));
  ChatTemplateSource found;
  TRY_ASSIGN(found.source, find_template(files, config));
  TRY_ASSIGN(const auto special_tokens, read_json(files, "special_tokens_map.json"));
  for (const auto* source : {&config, &special_tokens}) {
    if (!*source) continue;
    if (found.bos_token.empty()) found.bos_token = token_text(**source, "bos_token");
    if (found.eos_token.empty()) found.eos_token = token_text(**source, "eos_token");
  }
  return found;
}

}  // namespace cove::engine
