#include "engine/loading/model_source.h"

#include <fmt/format.h>

#include "tensor/io/sealed_model.h"

namespace cove::engine {
namespace {

namespace fs = std::filesystem;

std::string key_ids_of(const fs::path& path) {
  std::error_code ignored;
  const fs::path file = !fs::is_directory(path, ignored)                ? path
                        : fs::exists(path / kSealManifestName, ignored) ? path / kSealManifestName
                                                                        : path / "config.json";
  const auto sealed = SealedFile::open(file);
  return sealed ? sealed->key_ids() : "unknown";
}

Result<ModelSource> open_sealed(const fs::path& path, const std::optional<SealKey>& key) {
  if (!key) {
    return make_error(ErrorCode::kPermissionDenied,
                      fmt::format("is encrypted with key {} and no key was given: set model.key_file or "
                                  "model.key_command, --key-file, or COVE_MODEL_KEY in the environment",
                                  key_ids_of(path)));
  }
  TRY_ASSIGN(std::unique_ptr<SealedFiles> files, SealedFiles::open(path, *key));
  ModelSource source{.files = nullptr, .gguf = {}, .encrypted = true};
  std::error_code ignored;
  if (!fs::is_directory(path, ignored)) {
    source.gguf = files->names().front();
    if (!source.gguf.ends_with(".gguf")) {
      return invalid_argument(
          fmt::format("holds {}, which is neither a model directory nor a .gguf file", source.gguf));
    }
  }
  source.files = std::move(files);
  return source;
}

}  // namespace

// The readers of one file begin with its name, those of encrypted files with its path.
Error about_model(const fs::path& path, const Error& error) {
  const std::string& message = error.message;
  if (message.starts_with(path.filename().string() + ": "))
    return {error.code, (path.parent_path() / message).string()};
  const bool is_there = message.starts_with(path.string() + ":") || message.starts_with((path / "").string());
  return is_there ? error : with_context(error, path.string());
}

bool needs_key(const fs::path& path) { return is_sealed_model(path); }

Result<ModelSource> open_model_source(const fs::path& path, const std::optional<SealKey>& key) {
  std::error_code ignored;
  if (!fs::exists(path, ignored)) return make_error(ErrorCode::kNotFound, "there is no such file or directory");
  if (is_sealed_model(path)) return open_sealed(path, key);
  ModelSource source;
  if (fs::is_directory(path, ignored)) {
    source.files = std::make_unique<DirectoryFiles>(path);
    return source;
  }
  if (path.extension() != ".gguf")
    return invalid_argument("is neither a model directory (with config.json) nor a .gguf file");
  source.files = std::make_unique<DirectoryFiles>(path.parent_path());
  source.gguf = path.filename().string();
  return source;
}

}  // namespace cove::engine
