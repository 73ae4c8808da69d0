#include "services/audit/append_file.h"

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

namespace cove::audit {
namespace {

Error system_error(const std::filesystem::path& path, std::string_view action) {
  return make_error(ErrorCode::kIo, fmt::format("{}: cannot {}: {}", path.string(), action, std::strerror(errno)));
}

}  // namespace

Result<AppendFile> AppendFile::create(const std::filesystem::path& path) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
  if (fd < 0) return system_error(path, "create");
  return AppendFile(fd, path, 0);
}

Result<AppendFile> AppendFile::continue_at(const std::filesystem::path& path, uint64_t bytes) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  if (fd < 0) return system_error(path, "open");
  AppendFile file(fd, path, bytes);
  TRY(file.cut_back());
  return file;
}

AppendFile::AppendFile(AppendFile&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      path_(std::move(other.path_)),
      bytes_(other.bytes_),
      has_more_(other.has_more_) {}

AppendFile& AppendFile::operator=(AppendFile&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(path_, other.path_);
  std::swap(bytes_, other.bytes_);
  std::swap(has_more_, other.has_more_);
  return *this;
}

AppendFile::~AppendFile() {
  if (fd_ >= 0) ::close(fd_);
}

Error AppendFile::failed(std::string_view action) const { return system_error(path_, action); }

Status AppendFile::cut_back() {
  if (::ftruncate(fd_, static_cast<off_t>(bytes_)) != 0) return failed("cut back");
  has_more_ = false;
  return {};
}

Status AppendFile::write_all(std::string_view bytes) const {
  while (!bytes.empty()) {
    const ssize_t put = ::write(fd_, bytes.data(), bytes.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return failed("write");
    bytes.remove_prefix(static_cast<size_t>(put));
  }
  return {};
}

Status AppendFile::append(std::string_view bytes, Sync sync_now) {
  if (has_more_) TRY(cut_back());
  has_more_ = true;
  Status status = write_all(bytes);
  if (status && sync_now == Sync::kNow) status = sync();
  if (!status) {
    (void)cut_back();  // the next append tries again
    return status;
  }
  has_more_ = false;
  bytes_ += bytes.size();
  return {};
}

Status AppendFile::sync() {
  if (::fdatasync(fd_) != 0) return failed("sync");
  return {};
}

Status sync_folder(const std::filesystem::path& dir) {
  const int fd = ::open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return system_error(dir, "open");
  // Some file systems cannot sync folders (EINVAL), and need not.
  const bool good = ::fsync(fd) == 0 || errno == EINVAL;
  Status status;
  if (!good) status = system_error(dir, "sync");
  ::close(fd);
  return status;
}

Result<FolderLock> FolderLock::take(const std::filesystem::path& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return system_error(path, "open");
  FolderLock lock(fd);
  if (::flock(fd, LOCK_EX | LOCK_NB) == 0) return lock;
  if (errno != EWOULDBLOCK) return system_error(path, "lock");
  return make_error(ErrorCode::kFailedPrecondition,
                    fmt::format("{}: another process writes this audit log; stop it, or set another audit.dir",
                                path.parent_path().string()));
}

bool FolderLock::is_taken(const std::filesystem::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const bool taken = ::flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
  ::close(fd);
  return taken;
}

FolderLock& FolderLock::operator=(FolderLock&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

FolderLock::~FolderLock() {
  if (fd_ >= 0) ::close(fd_);
}

}  // namespace cove::audit
