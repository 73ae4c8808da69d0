#pragma once
// From a loaded model and a backend to a running engine. Called by apps/ (open_engine) and by tests.

#include <memory>
#include <vector>

#include "base/result.h"
#include "compute/backend.h"
#include "engine/api/engine.h"
#include "engine/options.h"
#include "model/weights.h"
#include "spec/model_spec.h"
#include "text/tokenizer/tokenizer.h"

namespace cove::engine {

// What the engine needs of a model's files.
struct ModelParts {
  ModelSpec spec;
  model::TensorLookup tensors;
  model::TensorRelease release;                      // of a tensor that the backend has copied; may be empty
  std::shared_ptr<const text::Tokenizer> tokenizer;  // shared with the server, which encodes prompts
  std::vector<int32_t> eos_ids;                      // tokens that end an answer
  ModelInfo info;                     // name, digest and sizes as read from the files; the rest is filled in
  uint64_t held_bytes = 0;            // memory that decrypted files take already
  std::shared_ptr<const void> files;  // keeps the mapped weights alive: `tensors` points into them
};

class ModelFiles;
// The parts of an opened model with a tokenizer. `name` is what clients call it; empty = the directory's or file's
// name.
ModelParts model_parts(const std::shared_ptr<const ModelFiles>& files, const std::string& name);

// Plans memory (refusing with numbers), loads the weights into the backend, takes the cache and starts the engine's
// thread. Errors: kInvalidArgument (options), kUnsupported, kDataCorrupt, kFailedPrecondition (memory).
Result<std::unique_ptr<Engine>> make_engine(ModelParts parts, std::unique_ptr<Backend> backend,
                                            const EngineOptions& options);

}  // namespace cove::engine
