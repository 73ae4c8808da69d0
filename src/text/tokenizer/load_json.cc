// tokenizer.json, as the tokenizers library of Hugging Face writes it.
#include <fmt/format.h>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/string.hpp>

#include "text/tokenizer/loaders.h"

namespace cove::text {
namespace {

constexpr int kNestingMax = 8;

Error unsupported(std::string message) { return {ErrorCode::kUnsupported, std::move(message)}; }

bool is_absent(const json::value* value) { return value == nullptr || value->is_null(); }

std::string_view text_of(const json::value* value) {
  const json::string* text = value != nullptr ? value->if_string() : nullptr;
  return text != nullptr ? std::string_view(*text) : std::string_view();
}

Result<int64_t> id_of(const json::value* value, std::string_view what) {
  if (value != nullptr && value->is_int64() && value->get_int64() >= 0 && value->get_int64() < kTokenIdEnd)
    return value->get_int64();
  return data_corrupt(fmt::format("{}: needs an id from 0 to {}", what, kTokenIdEnd - 1));
}

Result<bool> flag_of(const json::value& object, std::string_view key) {
  const json::value* value = find_member(object, key);
  if (is_absent(value)) return false;
  if (const bool* flag = value->if_bool()) return *flag;
  return data_corrupt(fmt::format("'{}' must be true or false", key));
}

Status check_model_options(const json::value& model) {
  const std::string_view type = text_of(find_member(model, "type"));
  if (type != "BPE" && !(type.empty() && find_member(model, "merges") != nullptr)) {
    return unsupported(fmt::format("model: type '{}' is not supported, only BPE", type));
  }
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    if (!text_of(find_member(model, key)).empty()) return unsupported(fmt::format("model: '{}' is not supported", key));
  }
  TRY_ASSIGN(const bool byte_fallback, flag_of(model, "byte_fallback"));
  if (byte_fallback)
    return unsupported("model: byte_fallback (a SentencePiece vocabulary) is not supported, only byte-level BPE");
  const json::value* dropout = find_member(model, "dropout");
  if (!is_absent(dropout) && !(dropout->is_number() && dropout->to_number<double>() == 0.0)) {
    return unsupported("model: dropout is for training and not supported");
  }
  return {};
}

Result<std::pair<std::string_view, std::string_view>> read_merge(const json::value& merge, size_t line) {
  if (const json::string* text = merge.if_string()) return split_merge(*text, line);
  if (const json::array* pair = merge.if_array(); pair != nullptr && pair->size() == 2) {
    const std::string_view left = text_of(&(*pair)[0]);
    const std::string_view right = text_of(&(*pair)[1]);
    if (!left.empty() && !right.empty()) return std::pair(left, right);
  }
  return data_corrupt(fmt::format("model: merge {} is neither \"left right\" nor [left, right]", line));
}

Result<BpeModel> read_model(const json::value& root) {
  const json::value* model = find_member(root, "model");
  if (model == nullptr || !model->is_object()) return data_corrupt("has no 'model' object");
  TRY(check_model_options(*model));
  const json::value* vocab = find_member(*model, "vocab");
  const json::value* merges = find_member(*model, "merges");
  if (vocab == nullptr || !vocab->is_object()) return data_corrupt("model: 'vocab' must be an object of token and id");
  if (merges == nullptr || !merges->is_array()) return data_corrupt("model: 'merges' must be an array");
  PublishedBpe published;
  published.tokens.reserve(vocab->get_object().size());
  for (const json::key_value_pair& entry : vocab->get_object()) {
    TRY_ASSIGN(const int64_t id,
               id_of(&entry.value(), fmt::format("model: vocabulary entry '{}'", std::string_view(entry.key()))));
    published.tokens.push_back({entry.key(), id});
  }
  published.merges.reserve(merges->get_array().size());
  for (const json::value& merge : merges->get_array()) {
    TRY_ASSIGN(const auto pair, read_merge(merge, published.merges.size()));
    published.merges.push_back(pair);
  }
  TRY_ASSIGN(const bool ignore_merges, flag_of(*model, "ignore_merges"));
  if (ignore_merges) published.whole_words = BpeModel::WholeWords::kLookedUpFirst;
  auto built = build_model(published);
  if (!built) return with_context(std::move(built).error(), "model");
  return built;
}

Result<BpeTokenizer::Normalization> read_normalizer(const json::value* normalizer, int depth) {
  using Normalization = BpeTokenizer::Normalization;
  if (is_absent(normalizer)) return Normalization::kNone;
  const std::string_view type = text_of(find_member(*normalizer, "type"));
  if (type == "NFC") return Normalization::kNfc;
  const json::value* parts = find_member(*normalizer, "normalizers");
  if (type != "Sequence" || parts == nullptr || !parts->is_array() || depth > kNestingMax) {
    return unsupported(fmt::format("normalizer: type '{}' is not supported (NFC is)", type));
  }
  Normalization all = Normalization::kNone;
  for (const json::value& part : parts->get_array()) {
    TRY_ASSIGN(const Normalization one, read_normalizer(&part, depth + 1));
    if (one != Normalization::kNone) all = one;
  }
  return all;
}

Result<std::vector<AddedToken>> read_added_tokens(const json::value& root) {
  std::vector<AddedToken> added;
  const json::value* list = find_member(root, "added_tokens");
  if (is_absent(list)) return added;
  if (!list->is_array()) return data_corrupt("'added_tokens' must be an array");
  for (const json::value& entry : list->get_array()) {
    AddedToken token;
    token.content = text_of(find_member(entry, "content"));
    const std::string what = fmt::format("added token '{}'", token.content);
    if (token.content.empty())
      return data_corrupt(fmt::format("added_tokens: entry {} has no 'content'", added.size()));
    TRY_ASSIGN(const int64_t id, id_of(find_member(entry, "id"), what));
    token.id = static_cast<int32_t>(id);
    TRY_ASSIGN(token.special, flag_of(entry, "special"));
    TRY_ASSIGN(token.normalized, flag_of(entry, "normalized"));
    TRY_ASSIGN(token.single_word, flag_of(entry, "single_word"));
    TRY_ASSIGN(token.lstrip, flag_of(entry, "lstrip"));
    TRY_ASSIGN(token.rstrip, flag_of(entry, "rstrip"));
    added.push_back(std::move(token));
  }
  return added;
}

Status read_template(const json::value& processor, BpeTokenizer::Parts& parts) {
  const json::value* single = find_member(processor, "single");
  const json::value* specials = find_member(processor, "special_tokens");
  if (single == nullptr || !single->is_array())
    return data_corrupt("post_processor: TemplateProcessing needs the array 'single'");
  bool after = false;
  for (const json::value& item : single->get_array()) {
    if (find_member(item, "Sequence") != nullptr) {
      after = true;
      continue;
    }
    const json::value* special = find_member(item, "SpecialToken");
    const std::string_view name = special != nullptr ? text_of(find_member(*special, "id")) : std::string_view();
    const json::value* declared = specials != nullptr ? find_member(*specials, name) : nullptr;
    const json::value* ids = declared != nullptr ? find_member(*declared, "ids") : nullptr;
    if (ids == nullptr || !ids->is_array())
      return data_corrupt(fmt::format("post_processor: special token '{}' is not declared", name));
    for (const json::value& value : ids->get_array()) {
      TRY_ASSIGN(const int64_t id, id_of(&value, fmt::format("post_processor: special token '{}'", name)));
      (after ? parts.suffix : parts.prefix).push_back(static_cast<int32_t>(id));
    }
  }
  return {};
}

// BERT's and RoBERTa's form: "cls" before, "sep" after, each as [text, id].
Status read_cls_and_sep(const json::value& processor, BpeTokenizer::Parts& parts) {
  for (const char* key : {"cls", "sep"}) {
    const json::value* pair = find_member(processor, key);
    const json::array* items = pair != nullptr ? pair->if_array() : nullptr;
    if (items == nullptr || items->size() != 2)
      return data_corrupt(fmt::format("post_processor: '{}' must be [text, id]", key));
    TRY_ASSIGN(const int64_t id, id_of(&(*items)[1], fmt::format("post_processor: '{}'", key)));
    (key[0] == 'c' ? parts.prefix : parts.suffix).push_back(static_cast<int32_t>(id));
  }
  return {};
}

Status read_post_processor(const json::value* processor, BpeTokenizer::Parts& parts, int depth) {
  if (is_absent(processor)) return {};
  const std::string_view type = text_of(find_member(*processor, "type"));
  if (type == "ByteLevel") return {};  // concerns offsets only
  if (type == "TemplateProcessing") return read_template(*processor, parts);
  if (type == "RobertaProcessing" || type == "BertProcessing") return read_cls_and_sep(*processor, parts);
  const json::value* list = find_member(*processor, "processors");
  if (type != "Sequence" || list == nullptr || !list->is_array() || depth > kNestingMax) {
    return unsupported(fmt::format("post_processor: type '{}' is not supported", type));
  }
  for (const json::value& part : list->get_array()) TRY(read_post_processor(&part, parts, depth + 1));
  return {};
}

Status check_decoder(const json::value* decoder, int depth) {
  if (is_absent(decoder)) return {};
  const std::string_view type = text_of(find_member(*decoder, "type"));
  if (type == "ByteLevel") return {};
  const json::value* list = find_member(*decoder, "decoders");
  if (type != "Sequence" || list == nullptr || !list->is_array() || depth > kNestingMax) {
    return unsupported(fmt::format("decoder: type '{}' is not supported (ByteLevel is)", type));
  }
  for (const json::value& part : list->get_array()) TRY(check_decoder(&part, depth + 1));
  return {};
}

Result<std::unique_ptr<Tokenizer>> load(const json::value& root, const json::value& config) {
  if (!root.is_object()) return data_corrupt("is not a JSON object");
  const json::value* pre_tokenizer = find_member(root, "pre_tokenizer");
  if (is_absent(pre_tokenizer))
    return unsupported("has no 'pre_tokenizer'; only byte-level BPE tokenizers are supported");
  TRY_ASSIGN(PreTokenizer pre, PreTokenizer::from_json(*pre_tokenizer));
  TRY_ASSIGN(BpeModel model, read_model(root));
  BpeTokenizer::Parts parts{.model = std::move(model), .pre_tokenizer = std::move(pre)};
  TRY_ASSIGN(parts.normalization, read_normalizer(find_member(root, "normalizer"), 0));
  TRY_ASSIGN(parts.added, read_added_tokens(root));
  TRY(read_post_processor(find_member(root, "post_processor"), parts, 0));
  TRY(check_decoder(find_member(root, "decoder"), 0));
  if (config.is_object()) {
    if (Status applied = apply_tokenizer_config(config, parts); !applied) {
      return with_context(std::move(applied).error(), "tokenizer_config.json");
    }
  }
  guess_bos_and_eos(parts);
  return BpeTokenizer::create(std::move(parts));
}

}  // namespace

Result<std::unique_ptr<Tokenizer>> Tokenizer::from_json(std::string_view tokenizer_json,
                                                        std::string_view tokenizer_config_json) {
  auto root = parse_json(tokenizer_json);
  if (!root) return with_context(std::move(root).error(), "tokenizer.json");
  json::value config;
  if (!tokenizer_config_json.empty()) {
    auto parsed = parse_json(tokenizer_config_json);
    if (!parsed) return with_context(std::move(parsed).error(), "tokenizer_config.json");
    config = std::move(*parsed);
  }
  auto tokenizer = load(*root, config);
  if (!tokenizer) return with_context(std::move(tokenizer).error(), "tokenizer.json");
  return tokenizer;
}

}  // namespace cove::text
