#include "engine/loading/model_files.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/file.h"
#include "base/json.h"
#include "engine/loading/digest.h"
#include "engine/loading/text_files.h"
#include "spec/expected_tensors.h"
#include "spec/families/family.h"
#include "tensor/io/gguf.h"
#include "tensor/io/safetensors.h"

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

 private:
  std::unique_ptr<GgufFile> file_;
};

bool is_gguf(const fs::path& path) { return path.extension() == ".gguf"; }

Result<json::value> read_config(const fs::path& path) {
  TRY_ASSIGN(const std::string text, read_file(path, kConfigBytesMax));
  auto value = parse_json(text);
  if (!value) return with_context(std::move(value).error(), path.filename().string());
  return value;
}

Status read_generation(const fs::path& directory, ModelFiles& model) {
  std::error_code ignored;
  const fs::path path = directory / "generation_config.json";
  if (!fs::exists(path, ignored)) return {};
  TRY_ASSIGN(const json::value config, read_config(path));
  TRY_ASSIGN(model.generation, parse_generation_config(config));
  return {};
}

Status read_text(const fs::path& path, const GgufMetadata* metadata, const OpenModelOptions& options,
                 ModelFiles& model) {
  using Use = OpenModelOptions::TokenizerUse;
  TRY_ASSIGN(ChatTemplateSource chat,
             metadata != nullptr ? chat_template_from_gguf(*metadata) : chat_template_from_directory(path));
  model.chat_template = std::move(chat.source);
  model.bos_token = std::move(chat.bos_token);
  model.eos_token = std::move(chat.eos_token);
  if (options.tokenizer == Use::kNone) return {};
  auto tokenizer = metadata != nullptr ? tokenizer_from_gguf(*metadata) : text::Tokenizer::from_path(path);
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

Status open_directory(const fs::path& path, const OpenModelOptions& options, ModelFiles& model) {
  model.container = "safetensors";
  TRY_ASSIGN(const json::value config, read_config(path / "config.json"));
  TRY_ASSIGN(model.spec, spec_from_config(config));
  TRY_ASSIGN(model.weights, open_safetensors(path));
  TRY_ASSIGN(model.container_names, match_tensors(model.spec, *model.weights, Container::kHuggingFace));
  TRY(read_generation(path, model));
  return read_text(path, nullptr, options, model);
}

Status open_gguf(const fs::path& path, const OpenModelOptions& options, ModelFiles& model) {
  model.container = "gguf";
  TRY_ASSIGN(std::unique_ptr<GgufFile> file, GgufFile::open(path));
  const GgufFile& gguf = *file;
  model.weights = std::make_unique<GgufWeights>(std::move(file));
  TRY_ASSIGN(model.spec, spec_from_gguf(gguf.metadata(), gguf.weights()));
  TRY_ASSIGN(model.container_names, match_tensors(model.spec, gguf.weights(), Container::kGguf));
  return read_text(path, &gguf.metadata(), options, model);
}

// "DeepSeek-R1-Distill-Qwen-1.5B" of a directory of that name or of a file of that name and ".gguf".
std::string name_from(const fs::path& path) {
  const fs::path whole = fs::absolute(path).lexically_normal();
  return (is_gguf(whole) ? whole.stem() : whole.filename()).string();
}

Status open_parts(const fs::path& path, const OpenModelOptions& options, ModelFiles& model) {
  std::error_code ignored;
  if (!fs::exists(path, ignored)) return make_error(ErrorCode::kNotFound, "there is no such file or directory");
  model.path = path;
  if (fs::is_directory(path, ignored)) {
    TRY(open_directory(path, options, model));
  } else if (is_gguf(path)) {
    TRY(open_gguf(path, options, model));
  } else {
    return invalid_argument("is neither a model directory (with config.json) nor a .gguf file");
  }
  TRY(check_vocabulary(model));
  join_special_tokens(model);
  measure_weights(model);
  if (model.spec.name.empty()) model.spec.name = name_from(path);
  TRY_ASSIGN(model.digest, model_digest(path));
  return {};
}

// "models/cove-mini/" has an empty last part.
fs::path without_trailing_slash(const fs::path& path) { return path.has_filename() ? path : path.parent_path(); }

}  // namespace

const TensorInfo* ModelFiles::info(std::string_view canonical_name) const {
  const auto found = container_names.find(canonical_name);
  return found == container_names.end() ? nullptr : weights->find(found->second);
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
  // The readers of one file begin with its name already.
  const std::string& message = opened.error().message;
  if (!message.starts_with(path.filename().string() + ": ")) return with_context(opened.error(), path.string());
  return Error{opened.error().code, (path.parent_path() / message).string()};
}

Result<std::unique_ptr<text::Tokenizer>> open_tokenizer(const fs::path& path) {
  if (!is_gguf(path)) return text::Tokenizer::from_path(path);
  TRY_ASSIGN(const std::unique_ptr<GgufFile> file, GgufFile::open(path));
  auto tokenizer = tokenizer_from_gguf(file->metadata());
  if (!tokenizer) return with_context(std::move(tokenizer).error(), path.string());
  return tokenizer;
}

Result<ChatTemplateSource> open_chat_template(const fs::path& path) {
  if (is_gguf(path)) {
    TRY_ASSIGN(const std::unique_ptr<GgufFile> file, GgufFile::open(path));
    return chat_template_from_gguf(file->metadata());
  }
  auto found = chat_template_from_directory(path);
  if (!found) return with_context(std::move(found).error(), path.string());
  return found;
}

}  // namespace cove::engine
