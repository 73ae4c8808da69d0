#include "engine/loading/model_files.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/json.h"
#include "engine/loading/digest.h"
#include "engine/loading/model_source.h"
#include "engine/loading/text_files.h"
#include "spec/expected_tensors.h"
#include "spec/families/family.h"
#include "tensor/io/gguf.h"
#include "tensor/io/safetensors.h"
#include "text/tokenizer/from_files.h"

namespace cove::engine {
namespace {

namespace fs = std::filesystem;

constexpr size_t kConfigBytesMax = 16U << 20;

// Keeps the GGUF mapping alive as the model's WeightSource.
class GgufWeights final : public WeightSource {
 public:
  explicit GgufWeights(std::unique_ptr<GgufFile> file) : file_(std::move(file)) {}
  std::span<const TensorInfo> tensors() const override { return file_->weights().tensors(); }
  const TensorInfo* find(std::string_view name) const override { return file_->weights().find(name); }
  std::span<const std::byte> data(const TensorInfo& tensor) const override { return file_->weights().data(tensor); }
  void release(const TensorInfo& tensor) const override { file_->weights().release(tensor); }
  uint64_t held_bytes() const override { return file_->weights().held_bytes(); }

 private:
  std::unique_ptr<GgufFile> file_;
};

bool is_gguf(const fs::path& path) { return path.extension() == ".gguf"; }

Result<json::value> read_config(const FileSource& files, const std::string& name) {
  TRY_ASSIGN(const std::string text, files.read(name, kConfigBytesMax));
  auto value = parse_json(text);
  if (!value) return with_context(std::move(value).error(), name);
  return value;
}

Status read_generation(const FileSource& files, ModelFiles& model) {
  if (!files.has("generation_config.json")) return {};
  TRY_ASSIGN(const json::value config, read_config(files, "generation_config.json"));
  TRY_ASSIGN(model.generation, parse_generation_config(config));
  return {};
}

Status read_text(const FileSource& files, const GgufMetadata* metadata, const OpenModelOptions& options,
                 ModelFiles& model) {
  using Use = OpenModelOptions::TokenizerUse;
  TRY_ASSIGN(ChatTemplateSource chat,
             metadata != nullptr ? chat_template_from_gguf(*metadata) : chat_template_from_files(files));
  model.chat_template = std::move(chat.source);
  model.bos_token = std::move(chat.bos_token);
  model.eos_token = std::move(chat.eos_token);
  if (options.tokenizer == Use::kNone) return {};
  auto tokenizer = metadata != nullptr ? tokenizer_from_gguf(*metadata) : text::tokenizer_from_files(files);
  if (tokenizer) {
    model.tokenizer = std::move(*tokenizer);
  } else if (options.tokenizer == Use::kRequired) {
    return with_context(std::move(tokenizer).error(), "tokenizer");
  } else {
    model.tokenizer_problem = tokenizer.error().message;
  }
  return {};
}

void add_id(std::vector<int32_t>& ids, std::optional<int32_t> id, int64_t vocab) {
  if (!id || *id < 0 || *id >= vocab) return;
  if (std::find(ids.begin(), ids.end(), *id) == ids.end()) ids.push_back(*id);
}

// End tokens are listed in up to three places, each of which may know one the others do not.
void join_special_tokens(ModelFiles& model) {
  for (const int32_t id : model.generation.eos_ids) add_id(model.spec.eos_ids, id, model.spec.vocab);
  if (!model.tokenizer) return;
  add_id(model.spec.eos_ids, model.tokenizer->eos_id(), model.spec.vocab);
  if (!model.spec.bos_id) model.spec.bos_id = model.tokenizer->bos_id();
}

// The format that most of the layers' bytes have, and the sum of all.
void measure_weights(ModelFiles& model) {
  std::map<DType, uint64_t> bytes_by_type;
  for (const auto& [canonical, name] : model.container_names) {
    const TensorInfo& tensor = *model.weights->find(name);
    model.weight_bytes += tensor.bytes;
    if (canonical.starts_with("layers.")) bytes_by_type[tensor.dtype] += tensor.bytes;
  }
  const auto most = std::max_element(bytes_by_type.begin(), bytes_by_type.end(),
                                     [](const auto& a, const auto& b) { return a.second < b.second; });
  if (most != bytes_by_type.end()) model.weight_format = dtype_info(most->first).name;
  model.parameters = total_parameters(model.spec);
}

// The tokenizer may know fewer ids than the embedding has rows (they are padded), never more.
Status check_vocabulary(const ModelFiles& model) {
  if (!model.tokenizer || model.tokenizer->vocab_size() <= model.spec.vocab) return {};
  return data_corrupt(
      fmt::format("the tokenizer has ids up to {}, but the embedding only {} rows; they belong to different "
                  "models",
                  model.tokenizer->vocab_size() - 1, model.spec.vocab));
}

Status open_directory(const ModelSource& source, const OpenModelOptions& options, ModelFiles& model) {
  model.container = "safetensors";
  const FileSource& files = *source.files;
  TRY_ASSIGN(const json::value config, read_config(files, "config.json"));
  TRY_ASSIGN(model.spec, spec_from_config(config));
  TRY_ASSIGN(model.weights, open_safetensors(files));
  TRY_ASSIGN(model.container_names, match_tensors(model.spec, *model.weights, Container::kHuggingFace));
  TRY(read_generation(files, model));
  TRY(read_text(files, nullptr, options, model));
  TRY_ASSIGN(model.digest, model_digest(source, 0));
  return {};
}

Result<std::unique_ptr<GgufFile>> open_gguf_of(const ModelSource& source) {
  TRY_ASSIGN(FileBytes content, source.files->open(source.gguf));
  return GgufFile::open(std::move(content), source.gguf);
}

Status open_gguf(const ModelSource& source, const OpenModelOptions& options, ModelFiles& model) {
  model.container = "gguf";
  TRY_ASSIGN(std::unique_ptr<GgufFile> file, open_gguf_of(source));
  const GgufFile& gguf = *file;
  model.weights = std::make_unique<GgufWeights>(std::move(file));
  TRY_ASSIGN(model.spec, spec_from_gguf(gguf.metadata(), gguf.weights()));
  TRY_ASSIGN(model.container_names, match_tensors(model.spec, gguf.weights(), Container::kGguf));
  TRY(read_text(*source.files, &gguf.metadata(), options, model));
  TRY_ASSIGN(model.digest, model_digest(source, gguf.header().data_offset));
  return {};
}

// "DeepSeek-R1-Distill-Qwen-1.5B" of a directory of that name or of a file of that name and ".gguf".
std::string name_from(const fs::path& path) {
  const fs::path whole = fs::absolute(path).lexically_normal();
  return (is_gguf(whole) ? whole.stem() : whole.filename()).string();
}

Status open_parts(const fs::path& path, const OpenModelOptions& options, ModelFiles& model) {
  TRY_ASSIGN(const ModelSource source, open_model_source(path, options.key));
  model.path = path;
  model.encrypted = source.encrypted;
  TRY(source.gguf.empty() ? open_directory(source, options, model) : open_gguf(source, options, model));
  TRY(check_vocabulary(model));
  join_special_tokens(model);
  measure_weights(model);
  if (model.spec.name.empty()) model.spec.name = name_from(path);
  return {};
}

// "models/cove-mini/" has an empty last part.
fs::path without_trailing_slash(const fs::path& path) { return path.has_filename() ? path : path.parent_path(); }

}  // namespace

const TensorInfo* ModelFiles::info(std::string_view canonical_name) const {
  const auto found = container_names.find(canonical_name);
  return found == container_names.end() ? nullptr : weights->find(found->second);
}

void ModelFiles::release(std::string_view canonical_name) const {
  if (const TensorInfo* tensor = info(canonical_name); tensor != nullptr) weights->release(*tensor);
}

TensorView ModelFiles::find(std::string_view canonical_name) const {
  const TensorInfo* tensor = info(canonical_name);
  if (tensor == nullptr) return {};
  TensorView view = view_of(*weights, *tensor);
  const bool is_vector = canonical_name.ends_with(".bias") || canonical_name.find("norm.") != std::string_view::npos;
  if (is_vector && view.shape.rank == 2) view.shape = {view.shape[1]};  // stored as [1, n]
  return view;
}

Result<ModelFiles> open_model_files(const fs::path& path, const OpenModelOptions& options) {
  ModelFiles model;
  const Status opened = open_parts(without_trailing_slash(path), options, model);
  if (opened) return model;
  return about_model(path, opened.error());
}

Result<std::unique_ptr<text::Tokenizer>> open_tokenizer(const fs::path& path, const std::optional<SealKey>& key) {
  if (!is_gguf(path) && !needs_key(path)) return text::Tokenizer::from_path(path);
  const auto open = [&]() -> Result<std::unique_ptr<text::Tokenizer>> {
    TRY_ASSIGN(const ModelSource source, open_model_source(path, key));
    if (source.gguf.empty()) return text::tokenizer_from_files(*source.files);
    TRY_ASSIGN(const std::unique_ptr<GgufFile> file, open_gguf_of(source));
    return tokenizer_from_gguf(file->metadata());
  };
  auto tokenizer = open();
  if (!tokenizer) return about_model(path, tokenizer.error());
  return tokenizer;
}

Result<ChatTemplateSource> open_chat_template(const fs::path& path, const std::optional<SealKey>& key) {
  const auto open = [&]() -> Result<ChatTemplateSource> {
    TRY_ASSIGN(const ModelSource source, open_model_source(path, key));
    if (source.gguf.empty()) return chat_template_from_files(*source.files);
    TRY_ASSIGN(const std::unique_ptr<GgufFile> file, open_gguf_of(source));
    return chat_template_from_gguf(file->metadata());
  };
  auto found = open();
  if (!found) return about_model(path, found.error());
  return found;
}

}  // namespace cove::engine
