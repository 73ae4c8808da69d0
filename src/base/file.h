#pragma once
// Files: whole reads with a size limit, read-only mappings, atomic writes. Errors name the path.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace cove {

// Reads a whole regular file. Errors: kNotFound, kIo, kInvalidArgument when larger than bytes_max.
Result<std::string> read_file(const std::filesystem::path& path, size_t bytes_max = size_t{1} << 30);

// At most the first bytes_max bytes of a regular file. Errors: kNotFound, kIo.
Result<std::string> read_file_head(const std::filesystem::path& path, uint64_t bytes_max);
// Errors: kNotFound, kIo, kInvalidArgument when it is no regular file.
Result<uint64_t> bytes_of_file(const std::filesystem::path& path);

// Writes beside `path` and renames, so that a reader sees the old or the new content, never half. mode as in chmod.
Status write_file_atomic(const std::filesystem::path& path, std::string_view content, int mode = 0644);

// A read-only private mapping of a whole file; empty files map to an empty span.
class MappedFile {
 public:
  static Result<MappedFile> open(const std::filesystem::path& path);
  MappedFile() = default;
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  // A part that is not read any more leaves this process's memory; reading it again reads the file again.
  void release(std::span<const std::byte> part) const;

 private:
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace cove
