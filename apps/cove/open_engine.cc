#include "open_engine.h"

#include <cstdlib>
#include <system_error>

#include <fmt/format.h>

#include "backends/cpu/cpu_backend.h"
#include "backends/cuda/cuda_backend.h"
#include "base/log.h"
#include "engine/loading/model_files.h"
#include "engine/make_engine.h"

namespace cove::app {
namespace {

namespace fs = std::filesystem;

SamplingDefaults sampling_defaults(const GenerationDefaults& published) {
  SamplingDefaults defaults;
  defaults.temperature = published.temperature.value_or(defaults.temperature);
  defaults.top_p = published.top_p.value_or(defaults.top_p);
  defaults.top_k = published.top_k.value_or(defaults.top_k);
  defaults.min_p = published.min_p.value_or(defaults.min_p);
  defaults.repetition_penalty = published.repetition_penalty.value_or(defaults.repetition_penalty);
  return defaults;
}

// Where the shipped model may lie, best first.
std::vector<fs::path> shipped_model_places() {
  std::vector<fs::path> places = {fs::path("models") / "cove-mini"};
  std::error_code error;
  const fs::path binary = fs::read_symlink("/proc/self/exe", error);
  if (!error) places.push_back(binary.parent_path().parent_path().parent_path() / "models" / "cove-mini");
  places.emplace_back("/usr/share/cove/models/cove-mini");
  return places;
}

Result<CudaWeightFormat> cuda_format(const std::string& name) {
  if (name == "auto") return CudaWeightFormat::kAsStored;
  if (name == "fp8") return CudaWeightFormat::kFp8;
  if (name == "int8") return CudaWeightFormat::kInt8;
  if (name == "w4a16") return CudaWeightFormat::kW4A16;
  return invalid_argument(fmt::format("weight format '{}' does not exist; use auto, fp8, int8 or w4a16", name));
}

}  // namespace

Result<fs::path> find_model(const std::optional<std::string>& wanted) {
  const char* variable = std::getenv("COVE_MODEL");
  std::error_code error;
  if (wanted || (variable != nullptr && *variable != '\0')) {
    fs::path path = wanted ? *wanted : variable;
    if (fs::exists(path, error)) return path;
    return make_error(ErrorCode::kNotFound,
                      fmt::format("there is no model at {}{}", path.string(), wanted ? "" : " ($COVE_MODEL)"));
  }
  std::string looked_at;
  for (const fs::path& place : shipped_model_places()) {
    if (fs::exists(place / "config.json", error)) return place;
    looked_at += (looked_at.empty() ? "" : ", ") + place.string();
  }
  return make_error(
      ErrorCode::kNotFound,
      fmt::format("no model given and the shipped one was not found (looked at {}): give --model PATH", looked_at));
}

bool is_device_name(std::string_view device) { return device == "auto" || device == "cpu" || device == "cuda"; }

Result<std::unique_ptr<Backend>> open_backend(const DeviceOptions& options) {
  const std::string& device = options.device;
  if (!is_device_name(device)) {
    return invalid_argument(fmt::format("device '{}' does not exist; use auto, cpu or cuda", device));
  }
  TRY_ASSIGN(const CudaWeightFormat format, cuda_format(options.weight_format));
  if (device == "cuda" || (device == "auto" && cuda_available())) {
    auto cuda = make_cuda_backend({.device = 0, .reproducible = options.reproducible, .format = format});
    if (cuda || device == "cuda") return cuda;
    log::warn("engine.gpu_not_used", {{"reason", cuda.error().message}, {"next", "set engine.device to cpu"}});
  }
  if (format != CudaWeightFormat::kAsStored) {
    return make_error(ErrorCode::kUnsupported,
                      fmt::format("rounding weights to {} needs the cuda backend", options.weight_format));
  }
  return make_cpu_backend({.threads = options.threads, .isa = options.isa});
}

Result<OpenedModel> open_engine(const OpenEngineOptions& options) {
  TRY_ASSIGN(auto backend, open_backend(options.device));
  return open_engine(options, std::move(backend));
}

Result<OpenedModel> open_engine(const OpenEngineOptions& options, std::unique_ptr<Backend> backend) {
  TRY_ASSIGN(engine::ModelFiles opened, engine::open_model_files(options.model, {.key = options.key}));
  const auto files = std::make_shared<const engine::ModelFiles>(std::move(opened));
  engine::ModelParts parts = engine::model_parts(files, options.name);
  // Stated by /health, metrics and the banner: what computes, not what the files hold.
  const bool plain = files->weight_format == "bf16" || files->weight_format == "f16" || files->weight_format == "f32";
  if (options.device.weight_format != "auto" && plain) parts.info.weight_format = options.device.weight_format;
  OpenedModel model{.path = options.model,
                    .tokenizer = parts.tokenizer,
                    .chat_template = nullptr,
                    .bos_token = files->bos_token,
                    .eos_token = files->eos_token,
                    .defaults = sampling_defaults(files->generation),
                    .engine = nullptr};
  if (!files->chat_template.empty()) {
    auto compiled = text::ChatTemplate::compile(files->chat_template);
    if (!compiled) return with_context(compiled.error(), fmt::format("{}: chat template", options.model.string()));
    model.chat_template = std::move(*compiled);
  }
  TRY_ASSIGN(model.engine, engine::make_engine(std::move(parts), std::move(backend), options.engine));
  return model;
}

}  // namespace cove::app
