#pragma once
// A file that only grows, and whose failed writes leave nothing behind: what audit::ChainWriter writes to.

#include <cstdint>
#include <filesystem>
#include <string_view>
#include <utility>

#include "base/result.h"

namespace cove::audit {

class AppendFile {
 public:
  // create: the file must not be there. Mode 0600. Errors: kIo naming the path.
  static Result<AppendFile> create(const std::filesystem::path& path);
  // Cuts the file to `bytes` and goes on from there.
  static Result<AppendFile> continue_at(const std::filesystem::path& path, uint64_t bytes);
  AppendFile() = default;
  AppendFile(AppendFile&& other) noexcept;
  AppendFile& operator=(AppendFile&& other) noexcept;
  ~AppendFile();

  enum class Sync : uint8_t { kNow, kLater };
  // Writes all and, with kNow, syncs; otherwise the file is cut back to what it was. What could not be cut back is cut
  // by the next append, which fails while that does.
  Status append(std::string_view bytes, Sync sync);
  Status sync();
  uint64_t bytes() const { return bytes_; }
  const std::filesystem::path& path() const { return path_; }

 private:
  AppendFile(int fd, std::filesystem::path path, uint64_t bytes) : fd_(fd), path_(std::move(path)), bytes_(bytes) {}
  Error failed(std::string_view action) const;
  Status cut_back();
  Status write_all(std::string_view bytes) const;

  int fd_ = -1;
  std::filesystem::path path_;
  uint64_t bytes_ = 0;  // that belong to the file
  bool has_more_ = false;
};

// Makes new names of a folder durable. Errors: kIo.
Status sync_folder(const std::filesystem::path& dir);

// Held by the one process that writes a log; given up when destroyed or when the process ends.
class FolderLock {
 public:
  // Errors: kFailedPrecondition when another process has it, kIo.
  static Result<FolderLock> take(const std::filesystem::path& path);
  // Whether some process has it.
  static bool is_taken(const std::filesystem::path& path);
  FolderLock() = default;
  FolderLock(FolderLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FolderLock& operator=(FolderLock&& other) noexcept;
  ~FolderLock();

 private:
  explicit FolderLock(int fd) : fd_(fd) {}
  int fd_ = -1;
};

}  // namespace cove::audit
