#pragma once
// The key of the model that `cove serve` is to serve, got and tried before anything listens. Internal to cmd_serve.cc.

#include <filesystem>
#include <optional>

#include "base/config.h"
#include "base/result.h"
#include "tensor/io/seal_key.h"

namespace cove::app {

// nullopt when the model is not encrypted. Reads model.key_file, runs model.key_command (at most 30 s) or takes
// COVE_MODEL_KEY, and opens every file's header with it. Errors name the model, the file and both keys' ids.
Result<std::optional<SealKey>> served_model_key(const Config& config, const std::filesystem::path& model);

}  // namespace cove::app
