#pragma once
// A large file written from front to back beside its final path, renamed when complete; removed when not. Internal to
// io/ writers and the tools that stream weights.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>

#include "base/result.h"

namespace cove {

class OutputFile {
 public:
  static Result<OutputFile> create(const std::filesystem::path& path);
  OutputFile(OutputFile&& other) noexcept;
  OutputFile& operator=(OutputFile&&) = delete;
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;
  ~OutputFile();

  Status write(std::span<const std::byte> bytes);
  Status write(std::string_view text);
  uint64_t bytes_written() const { return bytes_written_; }
  // Syncs and gives the file its name. Nothing may be written afterwards.
  Status finish();

 private:
  OutputFile(int fd, std::filesystem::path path, std::filesystem::path temporary);
  int fd_ = -1;
  uint64_t bytes_written_ = 0;
  std::filesystem::path path_;
  std::filesystem::path temporary_;
};

}  // namespace cove
