#pragma once
// From a model's path to a running engine, with what the commands need beside it: tokenizer, chat template, sampling
// defaults. Used by chat, serve, bench and eval. The only place that chooses a device.

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "compute/backend.h"
#include "engine/api/engine.h"
#include "engine/options.h"
#include "tensor/io/seal_key.h"
#include "text/chat/chat_template.h"
#include "text/tokenizer/tokenizer.h"

namespace cove::app {

// The model's generation_config.json; what is missing there is what R1's model card recommends.
struct SamplingDefaults {
  double temperature = 0.6;
  double top_p = 0.95;
  int64_t top_k = 0;
  double min_p = 0;
  double repetition_penalty = 1;
};

struct DeviceOptions {
  std::string device = "auto";         // auto (the GPU when there is one that works), cpu, cuda
  int threads = 0;                     // of the CPU backend; 0 = one per physical core
  std::string isa = "";                // of the CPU backend; empty = the best there is
  bool reproducible = false;           // of the CUDA backend; the CPU's always is
  std::string weight_format = "auto";  // auto, or what the CUDA backend rounds weights to: fp8, int8, w4a16
};

struct OpenEngineOptions {
  std::filesystem::path model;                // a Hugging Face directory or a .gguf file, see find_model
  std::string name;                           // what clients call it; empty = the file's or directory's name
  std::optional<SealKey> key = std::nullopt;  // of an encrypted model, see model_key.h
  DeviceOptions device;
  engine::EngineOptions engine;
};

// The engine is destroyed first: it uses the others.
struct OpenedModel {
  std::filesystem::path path;
  std::shared_ptr<const text::Tokenizer> tokenizer;
  std::unique_ptr<text::ChatTemplate> chat_template;  // null when the model has none
  std::string bos_token;                              // texts, for the template's variables
  std::string eos_token;
  SamplingDefaults defaults;
  std::unique_ptr<engine::Engine> engine;
};

// `wanted` (from --model) or $COVE_MODEL when set; else the shipped model: ./models/cove-mini, then beside the binary
// (<exe>/../../models/cove-mini), then /usr/share/cove/models/cove-mini. kNotFound lists where was looked.
Result<std::filesystem::path> find_model(const std::optional<std::string>& wanted);

// Whether `device` is one that DeviceOptions knows.
bool is_device_name(std::string_view device);

// kInvalidArgument for a device or format that does not exist; kUnsupported when it cannot be used here.
Result<std::unique_ptr<Backend>> open_backend(const DeviceOptions& options);

// Reads, checks, plans memory, loads, starts. Takes seconds for large models. Errors name the file.
Result<OpenedModel> open_engine(const OpenEngineOptions& options);
// On this backend; options.device is not looked at.
Result<OpenedModel> open_engine(const OpenEngineOptions& options, std::unique_ptr<Backend> backend);

}  // namespace cove::app
