#pragma once
// Where a model's files come from: a folder or .gguf file as it is, or an encrypted one whose files are decrypted into
// memory. Used by loading/ and by the commands that check a key before anything is served.

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "base/file_source.h"
#include "base/result.h"
#include "tensor/io/seal_key.h"

namespace cove::engine {

struct ModelSource {
  std::unique_ptr<FileSource> files;
  std::string gguf;  // the file's name among them when the model is one .gguf file; empty: a folder
  bool encrypted = false;
};

// Encrypted models are recognised by their content. Errors: kNotFound, kInvalidArgument (neither a folder nor a .gguf
// file), kPermissionDenied (no key, or another one; both are named), kDataCorrupt.
Result<ModelSource> open_model_source(const std::filesystem::path& path, const std::optional<SealKey>& key);

// The error with the model's path in front, unless it begins with that already.
Error about_model(const std::filesystem::path& path, const Error& error);

// Whether this is an encrypted model, which opens with a key only.
bool needs_key(const std::filesystem::path& path);

}  // namespace cove::engine
