#include "tensor/io/output_file.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "base/check.h"

namespace cove {
namespace {

Error system_error(const std::filesystem::path& path, std::string_view action) {
  return {ErrorCode::kIo, fmt::format("{}: cannot {}: {}", path.string(), action, std::strerror(errno))};
}

}  // namespace

Result<OutputFile> OutputFile::create(const std::filesystem::path& path) {
  std::filesystem::path temporary = path;
  temporary += fmt::format(".tmp{}", ::getpid());
  const int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return system_error(temporary, "create");
  return OutputFile(fd, path, std::move(temporary));
}

OutputFile::OutputFile(int fd, std::filesystem::path path, std::filesystem::path temporary)
    : fd_(fd), path_(std::move(path)), temporary_(std::move(temporary)) {}

OutputFile::OutputFile(OutputFile&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      bytes_written_(other.bytes_written_),
      path_(std::move(other.path_)),
      temporary_(std::move(other.temporary_)) {}

OutputFile::~OutputFile() {
  if (fd_ < 0) return;
  ::close(fd_);
  ::unlink(temporary_.c_str());
}

Status OutputFile::write(std::span<const std::byte> bytes) {
  COVE_CHECK(fd_ >= 0);
  constexpr size_t kPieceMax = size_t{1} << 30;  // one write call takes at most 2 GiB
  while (!bytes.empty()) {
    const ssize_t put = ::write(fd_, bytes.data(), std::min(bytes.size(), kPieceMax));
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return system_error(temporary_, "write");
    bytes = bytes.subspan(static_cast<size_t>(put));
    bytes_written_ += static_cast<uint64_t>(put);
  }
  return {};
}

Status OutputFile::write(std::string_view text) { return write(std::as_bytes(std::span(text.data(), text.size()))); }

Status OutputFile::finish() {
  COVE_CHECK(fd_ >= 0);
  if (::fsync(fd_) != 0) return system_error(temporary_, "sync");
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) return system_error(path_, "replace");
  ::close(std::exchange(fd_, -1));
  return {};
}

}  // namespace cove
