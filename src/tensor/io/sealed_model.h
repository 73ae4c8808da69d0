#pragma once
// Encrypted models: a folder whose files are all sealed, with a sealed manifest that says which files belong to it, or
// one sealed .gguf file. Called by `cove encrypt`, `cove decrypt` and engine/loading.
//
// The manifest pins each file by its header's digest: a file that was taken away, put back from an older version or
// exchanged for another is refused before anything is decrypted.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/file_source.h"
#include "tensor/io/sealed_file.h"

namespace cove {

inline constexpr const char* kSealManifestName = "cove.sealed";

// A folder with a manifest or with a sealed config.json, or a sealed file.
bool is_sealed_model(const std::filesystem::path& path);

// Told now and then, from any thread; an error (such as kCancelled) stops the work, and nothing is left behind.
using ModelSealProgress = std::function<Status(uint64_t bytes_done, uint64_t bytes_total)>;

struct ModelSealOptions {
  uint32_t chunk_bytes = 1U << 20;
  ModelSealProgress on_progress;  // may be empty
};
struct ModelSealReport {
  uint64_t files = 0;
  uint64_t bytes = 0;  // of plaintext
};
// Encrypts a folder with everything in it, or one file, into `target`, which appears under its name when it is
// complete. Errors: kInvalidArgument (target exists or lies inside source, source is encrypted already), kNotFound,
// kIo.
Result<ModelSealReport> seal_model(const std::filesystem::path& source, const std::filesystem::path& target,
                                   const SealKey& key, const ModelSealOptions& options = {});
// The way back. Errors: also what SealedFiles::open gives.
Result<ModelSealReport> unseal_model(const std::filesystem::path& source, const std::filesystem::path& target,
                                     const SealKey& key, const ModelSealOptions& options = {});
// Changes the key of all files, in place; the encrypted data stay as they are. All files are looked at before the first
// is changed. Interrupted, it is finished by calling again with the same keys.
Result<ModelSealReport> rewrap_model(const std::filesystem::path& path, const SealKey& from, const SealKey& to);

// The decrypted files of an encrypted model. Small files become strings, weights SecretMemory; nothing touches a disk.
class SealedFiles final : public FileSource {
 public:
  // Reads the manifest and every file's header and tries the key on all of them; no weights are read. Errors:
  // kPermissionDenied for another key, kDataCorrupt naming the file, kNotFound.
  static Result<std::unique_ptr<SealedFiles>> open(const std::filesystem::path& path, const SealKey& key);

  std::filesystem::path path() const override { return path_; }
  std::vector<std::string> names() const override;
  std::vector<std::string> all_names() const;  // also those in subfolders
  bool has(const std::string& name) const override { return files_.contains(name); }
  Result<uint64_t> size(const std::string& name) const override;
  Result<std::string> read_head(const std::string& name, uint64_t bytes) const override;
  Result<FileBytes> open(const std::string& name) const override;
  Status decrypt_to(const std::string& name, const std::filesystem::path& target, const SealProgress& progress) const;

 private:
  SealedFiles(std::filesystem::path path, const SealKey& key) : path_(std::move(path)), key_(key) {}
  Result<const SealedFile*> file(const std::string& name) const;

  std::filesystem::path path_;
  SealKey key_;
  std::map<std::string, SealedFile> files_;
};

}  // namespace cove
