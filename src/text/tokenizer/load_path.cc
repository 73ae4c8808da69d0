// Finds which published form lies at a path.
#include <algorithm>

#include <fmt/format.h>
#include <boost/json/object.hpp>
#include <boost/json/string.hpp>

#include "base/file_source.h"
#include "text/tokenizer/from_files.h"
#include "text/tokenizer/loaders.h"

namespace cove::text {
namespace {

namespace fs = std::filesystem;

constexpr size_t kFileBytesMax = size_t{256} << 20;
constexpr size_t kQwen2Tokens = 151643;
constexpr size_t kGpt2Tokens = 50257;

Result<std::string> read_if_there(const FileSource& files, const std::string& name) {
  if (!files.has(name)) return std::string();
  return files.read(name, kFileBytesMax);
}

Result<json::value> read_json(const FileSource& files, const std::string& name) {
  TRY_ASSIGN(const std::string text, files.read(name, kFileBytesMax));
  auto value = parse_json(text);
  if (!value) return with_context(std::move(value).error(), (files.path() / name).string());
  return value;
}

Result<std::unique_ptr<Tokenizer>> load_json_file(const FileSource& files, const std::string& name) {
  TRY_ASSIGN(const std::string text, files.read(name, kFileBytesMax));
  TRY_ASSIGN(const std::string config, read_if_there(files, "tokenizer_config.json"));
  auto tokenizer = Tokenizer::from_json(text, config);
  if (!tokenizer) return with_context(std::move(tokenizer).error(), files.path().string());
  return tokenizer;
}

Result<std::unique_ptr<Tokenizer>> load_tiktoken_file(const FileSource& files, const std::string& name) {
  TRY_ASSIGN(const std::string text, files.read(name, kFileBytesMax));
  auto tokenizer = load_tiktoken(text);
  if (!tokenizer) return with_context(std::move(tokenizer).error(), (files.path() / name).string());
  return tokenizer;
}

// The only file of the folder that is called tokenizer*.json or *.tiktoken; empty when there is none or more than one.
std::string only_candidate(const FileSource& files) {
  std::string candidate;
  int count = 0;
  for (const std::string& name : files.names()) {
    const bool json = name.starts_with("tokenizer") && name.ends_with(".json") && name != "tokenizer_config.json";
    if ((json || name.ends_with(".tiktoken")) && ++count == 1) candidate = name;
  }
  return count == 1 ? candidate : std::string();
}

Status choose_family(const json::value& config, size_t tokens, BpeTokenizer::Parts& parts) {
  const json::value* class_value = find_member(config, "tokenizer_class");
  const std::string_view name =
      class_value != nullptr && class_value->is_string() ? std::string_view(class_value->get_string()) : "";
  const bool qwen2 = name.starts_with("Qwen2") || (name.empty() && tokens == kQwen2Tokens);
  const bool gpt2 = name.starts_with("GPT2") || (name.empty() && tokens == kGpt2Tokens);
  if (!qwen2 && !gpt2) {
    return Error{ErrorCode::kUnsupported, fmt::format("vocab.json with tokenizer_class '{}' and {} tokens: only Qwen2 "
                                                      "and GPT-2 are known in this form; use tokenizer.json",
                                                      name, tokens)};
  }
  parts.pre_tokenizer = qwen2 ? PreTokenizer::qwen2() : PreTokenizer::gpt2();
  if (qwen2) parts.normalization = BpeTokenizer::Normalization::kNfc;
  if (qwen2 && !config.is_object() && tokens == kQwen2Tokens) parts.added = qwen2_added_tokens();
  if (gpt2 && !config.is_object() && tokens == kGpt2Tokens)
    parts.added = {{.content = "<|endoftext|>", .id = 50256, .special = true}};
  return {};
}

Status read_merges(std::string_view text, PublishedBpe& published) {
  for (size_t number = 0; !text.empty(); ++number) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty() || (number == 0 && line.starts_with("#version"))) continue;
    TRY_ASSIGN(const auto pair, split_merge(line, published.merges.size()));
    published.merges.push_back(pair);
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<Tokenizer>> load_vocab_and_merges(const FileSource& files) {
  TRY_ASSIGN(const json::value vocab, read_json(files, "vocab.json"));
  TRY_ASSIGN(const std::string merges, files.read("merges.txt", kFileBytesMax));
  json::value config;
  if (files.has("tokenizer_config.json")) {
    TRY_ASSIGN(config, read_json(files, "tokenizer_config.json"));
  }
  const auto named = [&](Error error) { return with_context(std::move(error), files.path().string()); };
  PublishedBpe published;
  if (!vocab.is_object()) return named(data_corrupt("vocab.json is not an object of token and id"));
  for (const json::key_value_pair& entry : vocab.get_object()) {
    if (!entry.value().is_int64())
      return named(data_corrupt(fmt::format("vocab.json: '{}' has no id", std::string_view(entry.key()))));
    published.tokens.push_back({entry.key(), entry.value().get_int64()});
  }
  if (Status read = read_merges(merges, published); !read) return named(std::move(read).error());
  auto model = build_model(published);
  if (!model) return named(std::move(model).error());
  BpeTokenizer::Parts parts{.model = std::move(*model), .pre_tokenizer = PreTokenizer::qwen2()};
  if (Status chosen = choose_family(config, published.tokens.size(), parts); !chosen)
    return named(std::move(chosen).error());
  if (Status applied = apply_tokenizer_config(config, parts); !applied) return named(std::move(applied).error());
  guess_bos_and_eos(parts);
  return BpeTokenizer::create(std::move(parts));
}

Result<std::unique_ptr<Tokenizer>> tokenizer_from_files(const FileSource& files) {
  if (files.has("tokenizer.json")) return load_json_file(files, "tokenizer.json");
  if (files.has("vocab.json") && files.has("merges.txt")) return load_vocab_and_merges(files);
  const std::string candidate = only_candidate(files);
  if (candidate.ends_with(".json")) return load_json_file(files, candidate);
  if (candidate.ends_with(".tiktoken")) return load_tiktoken_file(files, candidate);
  return Error{ErrorCode::kNotFound,
               fmt::format("{}: has no tokenizer.json, no vocab.json with merges.txt and no .tiktoken file",
                           files.path().string())};
}

Result<std::unique_ptr<Tokenizer>> Tokenizer::from_path(const fs::path& path) {
  std::error_code error;
  if (fs::is_directory(path, error)) return tokenizer_from_files(DirectoryFiles(path));
  const DirectoryFiles folder(path.parent_path());
  if (path.extension() == ".json") return load_json_file(folder, path.filename().string());
  if (path.extension() == ".tiktoken") return load_tiktoken_file(folder, path.filename().string());
  if (!fs::is_regular_file(path, error))
    return Error{ErrorCode::kNotFound, fmt::format("{}: there is no such file or folder", path.string())};
  return Error{
      ErrorCode::kUnsupported,
      fmt::format("{}: is not a tokenizer; give a folder with tokenizer.json, a tokenizer.json or a .tiktoken file",
                  path.string())};
}

}  // namespace cove::text
