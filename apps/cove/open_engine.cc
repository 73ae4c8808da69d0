#include "open_engine.h"

#include <cstdlib>
#include <system_error>

#include <fmt/format.h>

#include "backends/cpu/cpu_backend.h"
#include "backends/cuda/cuda_backend.h"
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

Result<std::unique_ptr<Backend>> open_backend(const std::string& device, int threads) {
  if (device == "cuda") return make_cuda_backend();
  if (device == "auto" || device == "cpu") return make_cpu_backend({.threads = threads, .isa = ""});
  return invalid_argument(fmt::format("device '{}' does not exist; use auto, cpu or cuda", device));
}

Result<OpenedModel> open_engine(const OpenEngineOptions& options) {
  TRY_ASSIGN(auto backend, open_backend(options.device, options.threads));
  TRY_ASSIGN(engine::ModelFiles opened, engine::open_model_files(options.model, {.key = options.key}));
  const auto files = std::make_shared<const engine::ModelFiles>(std::move(opened));
  engine::ModelParts parts = engine::model_parts(files, options.name);
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
