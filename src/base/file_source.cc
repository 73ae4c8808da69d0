#include "base/file_source.h"

#include <algorithm>

#include <fmt/format.h>

namespace cove {

namespace fs = std::filesystem;

std::span<const std::byte> FileBytes::bytes() const {
  if (const auto* memory = std::get_if<SecretMemory>(&owner_)) return memory->bytes();
  return std::get<MappedFile>(owner_).bytes();
}

void FileBytes::release(std::span<const std::byte> part) const {
  std::visit([&](const auto& owner) { owner.release(part); }, owner_);
}

uint64_t FileBytes::held_bytes() const {
  const auto* memory = std::get_if<SecretMemory>(&owner_);
  return memory != nullptr ? memory->bytes().size() : 0;
}

Result<std::string> FileSource::read(const std::string& name, uint64_t bytes_max) const {
  TRY_ASSIGN(const uint64_t bytes, size(name));
  if (bytes > bytes_max) {
    return invalid_argument(
        fmt::format("{}: {} bytes is more than the limit of {}", (path() / name).string(), bytes, bytes_max));
  }
  return read_head(name, bytes);
}

std::vector<std::string> DirectoryFiles::names() const {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator entry(directory_, error), end; !error && entry != end; entry.increment(error)) {
    std::error_code ignored;
    if (entry->is_regular_file(ignored)) names.push_back(entry->path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

bool DirectoryFiles::has(const std::string& name) const {
  std::error_code ignored;  // a path that cannot be asked for is no file
  return fs::is_regular_file(directory_ / name, ignored);
}

Result<uint64_t> DirectoryFiles::size(const std::string& name) const { return bytes_of_file(directory_ / name); }

Result<std::string> DirectoryFiles::read_head(const std::string& name, uint64_t bytes) const {
  return read_file_head(directory_ / name, bytes);
}

Result<FileBytes> DirectoryFiles::open(const std::string& name) const {
  TRY_ASSIGN(MappedFile file, MappedFile::open(directory_ / name));
  return FileBytes(std::move(file));
}

}  // namespace cove
