#include "tensor/io/staged_folder.h"

#include <cerrno>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace cove {
namespace {

namespace fs = std::filesystem;

Error system_error(const fs::path& path, std::string_view action) {
  return {ErrorCode::kIo, fmt::format("{}: cannot {}: {}", path.string(), action, std::strerror(errno))};
}

Status clear(const fs::path& folder) {
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    fs::remove_all(entry->path(), error);
    if (error) break;
  }
  if (error) return make_error(ErrorCode::kIo, fmt::format("{}: cannot clear: {}", folder.string(), error.message()));
  return {};
}

}  // namespace

Result<StagedFolder> StagedFolder::create(const fs::path& target) {
  std::error_code error;
  if (fs::exists(target, error) && !(fs::is_directory(target, error) && fs::is_empty(target, error))) {
    return invalid_argument(
        fmt::format("{} exists already; remove it or choose another name, nothing is overwritten", target.string()));
  }
  const fs::path staging = (target.has_filename() ? target : target.parent_path()).string() + ".partial";
  if (staging.has_parent_path()) fs::create_directories(staging.parent_path(), error);  // mkdir says what went wrong
  if (::mkdir(staging.c_str(), 0755) != 0 && errno != EEXIST) return system_error(staging, "create");
  const int fd = ::open(staging.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return system_error(staging, "open");
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    ::close(fd);
    return make_error(ErrorCode::kFailedPrecondition,
                      fmt::format("{}: another process is writing it; wait for it to end", staging.string()));
  }
  StagedFolder staged(target.has_filename() ? target : target.parent_path(), staging, fd);
  TRY(clear(staging));
  return staged;
}

StagedFolder::StagedFolder(fs::path target, fs::path staging, int fd)
    : target_(std::move(target)), staging_(std::move(staging)), fd_(fd) {}

StagedFolder::StagedFolder(StagedFolder&& other) noexcept
    : target_(std::move(other.target_)), staging_(std::move(other.staging_)), fd_(std::exchange(other.fd_, -1)) {}

StagedFolder::~StagedFolder() {
  if (fd_ < 0) return;
  std::error_code ignored;
  fs::remove_all(staging_, ignored);
  ::close(fd_);
}

Status StagedFolder::finish() {
  if (::fsync(fd_) != 0) return system_error(staging_, "sync");
  if (::rename(staging_.c_str(), target_.c_str()) != 0) return system_error(target_, "rename to");
  ::close(std::exchange(fd_, -1));
  return {};
}

}  // namespace cove
