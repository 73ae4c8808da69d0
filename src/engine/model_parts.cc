#include <string>

#include "base/check.h"
#include "engine/loading/model_files.h"
#include "engine/make_engine.h"

namespace cove::engine {
namespace {

// "models/cove-mini/" and "models/cove-mini.gguf" are both "cove-mini".
std::string name_of(const std::filesystem::path& path) {
  const std::filesystem::path whole = std::filesystem::absolute(path).lexically_normal();
  if (!whole.has_filename()) return whole.parent_path().filename().string();
  return whole.extension() == ".gguf" ? whole.stem().string() : whole.filename().string();
}

}  // namespace

ModelParts model_parts(const std::shared_ptr<const ModelFiles>& files, const std::string& name) {
  COVE_CHECK(files->tokenizer != nullptr);
  ModelParts parts;
  parts.spec = files->spec;
  parts.tensors = [source = files.get()](std::string_view canonical_name) { return source->find(canonical_name); };
  parts.release = [source = files.get()](std::string_view canonical_name) { source->release(canonical_name); };
  parts.held_bytes = files->weights->held_bytes();
  parts.tokenizer = {files, files->tokenizer.get()};
  parts.eos_ids = files->spec.eos_ids;
  parts.info.name = name.empty() ? name_of(files->path) : name;
  parts.info.family = files->spec.family;
  parts.info.digest = files->digest;
  parts.info.weight_format = files->weight_format;
  parts.info.parameters = files->parameters;
  parts.info.weight_bytes = static_cast<int64_t>(files->weight_bytes);
  parts.files = files;
  return parts;
}

}  // namespace cove::engine
