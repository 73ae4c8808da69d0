#include "model_report.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>
#include <boost/json/array.hpp>

#include "engine/loading/model_source.h"
#include "spec/families/family.h"
#include "tensor/io/gguf.h"
#include "tensor/io/printable.h"
#include "tensor/io/safetensors.h"
#include "text/chat/chat_template.h"

namespace cove::app {
namespace {

namespace fs = std::filesystem;

constexpr int kLevelsMax = 4;  // of folders that are searched for models

std::vector<TensorInfo> tensors_of(const fs::path& path, const std::optional<SealKey>& key) {
  const auto source = engine::open_model_source(path, key);
  if (!source) return {};
  if (!source->gguf.empty()) {
    auto content = source->files->open(source->gguf);
    if (!content) return {};
    const auto file = GgufFile::open(std::move(*content), source->gguf);
    if (!file) return {};
    return (*file)->header().tensors;
  }
  const auto weights = open_safetensors(*source->files);
  if (!weights) return {};
  const std::span<const TensorInfo> tensors = (*weights)->tensors();
  return {tensors.begin(), tensors.end()};
}

std::string_view rope_name(RopeSpec::Kind kind) {
  switch (kind) {
    case RopeSpec::Kind::kPlain: return "plain";
    case RopeSpec::Kind::kLinear: return "linear";
    case RopeSpec::Kind::kLlama3: return "llama3";
    case RopeSpec::Kind::kYarn: return "yarn";
  }
  return "";
}

struct FormatTotal {
  uint64_t tensors = 0;
  uint64_t bytes = 0;
};

std::map<std::string, FormatTotal> formats_of(const ModelReport& report) {
  std::map<std::string, FormatTotal> formats;
  for (const TensorInfo& tensor : report.tensors) {
    FormatTotal& total = formats[tensor.type_name];
    ++total.tensors;
    total.bytes += tensor.bytes;
  }
  return formats;
}

std::string tokens_text(const engine::ModelFiles& model, const std::vector<int32_t>& ids) {
  std::string text;
  for (const int32_t id : ids) {
    const std::string_view bytes = model.tokenizer != nullptr ? model.tokenizer->token_bytes(id) : "";
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", id, printable_name(bytes));
  }
  return text.empty() ? "none" : text;
}

void line(std::string& out, std::string_view key, const std::string& value) {
  out += fmt::format("{:<14}{}\n", key, value);
}

void spec_lines(std::string& out, const engine::ModelFiles& model) {
  const ModelSpec& spec = model.spec;
  const LayerSpec& layer = spec.layers.front();
  line(out, "name", spec.name);
  line(out, "family", spec.family);
  line(out, "parameters",
       fmt::format("{} ({} read for each token)", count_text(static_cast<double>(model.parameters)),
                   count_text(static_cast<double>(active_parameters(spec)))));
  line(out, "layers", fmt::format("{} of hidden {}, feed-forward {}", spec.layers.size(), spec.hidden, layer.ffn_dim));
  line(out, "attention",
       fmt::format("{} heads over {} key-value heads of {}{}{}", layer.heads, layer.kv_heads, layer.head_dim,
                   layer.qkv_bias ? ", with biases" : "", layer.qk_norm ? ", normalised" : ""));
  line(out, "rope",
       fmt::format("{}, base {}{}", rope_name(layer.rope.kind), layer.rope.theta,
                   layer.rope.kind == RopeSpec::Kind::kPlain ? "" : fmt::format(", factor {}", layer.rope.factor)));
  line(out, "vocabulary",
       fmt::format("{} rows, {}{}", spec.vocab, spec.tied_embeddings ? "tied to the output" : "untied",
                   model.tokenizer == nullptr ? ", no tokenizer"
                                              : fmt::format(", tokenizer of {}", model.tokenizer->vocab_size())));
  line(out, "context", fmt::format("{} tokens", spec.context_max));
  line(out, "end tokens", tokens_text(model, spec.eos_ids));
}

// Weights, and keys and values in two bytes each.
void memory_lines(std::string& out, const engine::ModelFiles& model) {
  const auto kv_bytes = static_cast<double>(2 * kv_elements_per_token(model.spec));
  line(out, "weights",
       fmt::format("{}, mostly {}", bytes_text(static_cast<double>(model.weight_bytes)), model.weight_format));
  line(out, "cache",
       fmt::format("{} a token, {} for the whole context (16-bit)", bytes_text(kv_bytes),
                   bytes_text(kv_bytes * static_cast<double>(model.spec.context_max))));
}

std::string template_text(const ModelReport& report) {
  if (report.model->chat_template.empty()) return "none";
  if (!report.template_problem.empty()) return "does not compile: " + report.template_problem;
  return fmt::format("present, {} characters", report.model->chat_template.size());
}

void tensor_lines(std::string& out, const ModelReport& report) {
  size_t name_width = 6;
  size_t shape_width = 5;
  for (const TensorInfo& tensor : report.tensors) {
    name_width = std::max(name_width, printable_name(tensor.name).size());
    shape_width = std::max(shape_width, to_string(tensor.shape).size());
  }
  out += fmt::format("\n{:<{}}  {:<8}{:<{}}  {:>14}  {:>16}  file\n", "tensor", name_width, "type", "shape",
                     shape_width, "bytes", "offset");
  for (const TensorInfo& tensor : report.tensors) {
    out +=
        fmt::format("{:<{}}  {:<8}{:<{}}  {:>14}  {:>16}  {}\n", printable_name(tensor.name), name_width,
                    tensor.type_name, to_string(tensor.shape), shape_width, tensor.bytes, tensor.offset, tensor.file);
  }
}

json::array shape_json(const Shape& shape) {
  json::array dims;
  for (int i = 0; i < shape.rank; ++i) dims.push_back(shape[i]);
  return dims;
}

json::object spec_json(const engine::ModelFiles& model) {
  const ModelSpec& spec = model.spec;
  const LayerSpec& layer = spec.layers.front();
  return {{"name", spec.name},
          {"family", spec.family},
          {"parameters", model.parameters},
          {"active_parameters", active_parameters(spec)},
          {"layers", spec.layers.size()},
          {"hidden", spec.hidden},
          {"ffn_dim", layer.ffn_dim},
          {"heads", layer.heads},
          {"kv_heads", layer.kv_heads},
          {"head_dim", layer.head_dim},
          {"qkv_bias", layer.qkv_bias},
          {"qk_norm", layer.qk_norm},
          {"vocab", spec.vocab},
          {"tied_embeddings", spec.tied_embeddings},
          {"context_max", spec.context_max},
          {"norm_eps", spec.norm_eps},
          {"rope", json::object{{"kind", rope_name(layer.rope.kind)},
                                {"theta", layer.rope.theta},
                                {"factor", layer.rope.factor},
                                {"original_context", layer.rope.original_context}}},
          {"bos_id", spec.bos_id ? json::value(*spec.bos_id) : json::value()},
          {"eos_ids", json::array(spec.eos_ids.begin(), spec.eos_ids.end())}};
}

bool is_model_directory(const fs::path& path) {
  std::error_code error;
  if (!fs::exists(path / "config.json", error)) return false;
  for (fs::directory_iterator entry(path, error), end; !error && entry != end; entry.increment(error)) {
    if (entry->path().extension() == ".safetensors") return true;
  }
  return false;
}

}  // namespace

std::string count_text(double value) {
  if (value >= 1e9) return fmt::format("{:.2f} G", value / 1e9);
  if (value >= 1e6) return fmt::format("{:.2f} M", value / 1e6);
  return fmt::format("{:.0f}", value);
}

std::string bytes_text(double bytes) {
  if (bytes >= 1e9) return fmt::format("{:.2f} GB", bytes / 1e9);
  if (bytes >= 1e6) return fmt::format("{:.2f} MB", bytes / 1e6);
  if (bytes >= 1e4) return fmt::format("{:.1f} kB", bytes / 1e3);
  return fmt::format("{:.0f} bytes", bytes);
}

ModelReport report_on(const fs::path& path, const std::optional<SealKey>& key) {
  ModelReport report{.path = path, .model = {}, .problem = {}, .tensors = {}, .template_problem = {}};
  auto model =
      engine::open_model_files(path, {.tokenizer = engine::OpenModelOptions::TokenizerUse::kOptional, .key = key});
  if (!model) {
    report.problem = model.error().message;
    report.tensors = tensors_of(path, key);
    return report;
  }
  report.model = std::move(*model);
  const std::span<const TensorInfo> tensors = report.model->weights->tensors();
  report.tensors.assign(tensors.begin(), tensors.end());
  if (!report.model->chat_template.empty()) {
    const auto compiled = text::ChatTemplate::compile(report.model->chat_template);
    if (!compiled) report.template_problem = compiled.error().message;
  }
  return report;
}

std::string report_text(const ModelReport& report) {
  std::string out;
  line(out, "path", report.path.string());
  if (report.model) {
    spec_lines(out, *report.model);
    line(out, "template", template_text(report));
    memory_lines(out, *report.model);
    if (report.model->encrypted) line(out, "encrypted", "yes, AES-256-GCM");
    line(out, "digest", report.model->digest);
  } else {
    line(out, "cannot run", report.problem);
  }
  for (const auto& [name, total] : formats_of(report)) {
    line(out, "format",
         fmt::format("{}: {} tensors, {}", name, total.tensors, bytes_text(static_cast<double>(total.bytes))));
  }
  if (!report.tensors.empty()) tensor_lines(out, report);
  return out;
}

json::object report_json(const ModelReport& report) {
  json::object root = {{"path", report.path.string()}, {"ok", report.model.has_value()}};
  if (report.model) {
    const engine::ModelFiles& model = *report.model;
    root["container"] = model.container;
    root["encrypted"] = model.encrypted;
    root["spec"] = spec_json(model);
    root["weight_format"] = model.weight_format;
    root["weight_bytes"] = model.weight_bytes;
    root["cache_bytes_per_token"] = 2 * kv_elements_per_token(model.spec);
    root["tokenizer_size"] = model.tokenizer != nullptr ? json::value(model.tokenizer->vocab_size()) : json::value();
    root["chat_template"] = !model.chat_template.empty();
    if (!report.template_problem.empty()) root["chat_template_problem"] = report.template_problem;
    root["digest"] = model.digest;
  } else {
    root["problem"] = report.problem;
  }
  json::array tensors;
  for (const TensorInfo& tensor : report.tensors) {
    tensors.push_back(json::object{{"name", tensor.name},
                                   {"type", tensor.type_name},
                                   {"shape", shape_json(tensor.shape)},
                                   {"file", tensor.file},
                                   {"offset", tensor.offset},
                                   {"bytes", tensor.bytes}});
  }
  root["tensors"] = std::move(tensors);
  return root;
}

Result<std::vector<fs::path>> find_models(const fs::path& root) {
  std::vector<fs::path> models;
  std::error_code error;
  if (is_model_directory(root)) return std::vector<fs::path>{root};
  fs::recursive_directory_iterator entry(root, fs::directory_options::skip_permission_denied, error);
  for (; !error && entry != fs::recursive_directory_iterator(); entry.increment(error)) {
    std::error_code ignored;
    if (entry->is_directory(ignored)) {
      if (entry.depth() >= kLevelsMax) entry.disable_recursion_pending();
      if (!is_model_directory(entry->path())) continue;
      entry.disable_recursion_pending();
      models.push_back(entry->path());
    } else if (entry->path().extension() == ".gguf") {
      models.push_back(entry->path());
    }
  }
  if (error) return make_error(ErrorCode::kIo, fmt::format("{}: cannot list: {}", root.string(), error.message()));
  std::sort(models.begin(), models.end());
  return models;
}

}  // namespace cove::app
