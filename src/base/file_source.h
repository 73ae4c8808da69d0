#pragma once
// The files of one model by name, whether they lie in a folder as they are or encrypted (tensor/io/sealed_model.h):
// what the readers of configurations, tokenizers and weights are given.

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "base/secret_memory.h"

namespace cove {

// A whole file's content, read-only: a mapping, or memory it was decrypted into.
class FileBytes {
 public:
  FileBytes() = default;
  explicit FileBytes(MappedFile file) : owner_(std::move(file)) {}
  explicit FileBytes(SecretMemory memory) : owner_(std::move(memory)) {}

  std::span<const std::byte> bytes() const;
  // A part that nobody reads any more: its memory goes back to the system. Of a mapping the content stays readable.
  void release(std::span<const std::byte> part) const;
  // Bytes of memory that this holds and the system cannot take back by itself: 0 for a mapping.
  uint64_t held_bytes() const;

 private:
  std::variant<MappedFile, SecretMemory> owner_;
};

// Safe to use from several threads. Names are relative, with '/' between folders.
class FileSource {
 public:
  virtual ~FileSource() = default;
  virtual std::filesystem::path path() const = 0;       // for messages
  virtual std::vector<std::string> names() const = 0;   // of the files outside of subfolders, sorted
  virtual bool has(const std::string& name) const = 0;  // a regular file
  virtual Result<uint64_t> size(const std::string& name) const = 0;
  // At most its first `bytes` bytes.
  virtual Result<std::string> read_head(const std::string& name, uint64_t bytes) const = 0;
  virtual Result<FileBytes> open(const std::string& name) const = 0;

  // The whole file. Errors: kInvalidArgument when larger than bytes_max, what the others give.
  Result<std::string> read(const std::string& name, uint64_t bytes_max) const;
};

// A folder as it is.
class DirectoryFiles final : public FileSource {
 public:
  explicit DirectoryFiles(std::filesystem::path directory) : directory_(std::move(directory)) {}
  std::filesystem::path path() const override { return directory_; }
  std::vector<std::string> names() const override;
  bool has(const std::string& name) const override;
  Result<uint64_t> size(const std::string& name) const override;
  Result<std::string> read_head(const std::string& name, uint64_t bytes) const override;
  Result<FileBytes> open(const std::string& name) const override;

 private:
  std::filesystem::path directory_;
};

}  // namespace cove
