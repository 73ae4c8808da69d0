#pragma once
// A model's digest: which model this is, cheap even for hundreds of gigabytes. Internal to loading/.

#include <filesystem>
#include <string>

#include "base/result.h"

namespace cove::engine {

// "sha256:<64 hex digits>" over the names, sizes and heads (JSON header, GGUF metadata; other files whole) of the files
// that make up the model, in the order of their names. Changed weights of the same layout give the same digest: `cove
// model verify` reads those.
Result<std::string> model_digest(const std::filesystem::path& path);

}  // namespace cove::engine
