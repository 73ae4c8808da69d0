#pragma once
// A model's digest: which model this is, cheap even for hundreds of gigabytes. Internal to loading/.

#include <string>

#include "base/result.h"
#include "engine/loading/model_source.h"

namespace cove::engine {

// "sha256:<64 hex digits>" over the names, sizes and heads (JSON header, GGUF metadata; other files whole) of the files
// that make up the model, in the order of their names. Changed weights of the same layout give the same digest: `cove
// model verify` reads those. An encrypted model has the digest of what it was made from. head_bytes_of_gguf: what
// comes before a .gguf file's data.
Result<std::string> model_digest(const ModelSource& source, uint64_t head_bytes_of_gguf);

}  // namespace cove::engine
