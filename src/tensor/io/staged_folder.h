#pragma once
// A folder that is filled under another name beside its own and appears complete or not at all. What an interrupted
// run left is cleared by the next one. Internal to sealed_model.cc.

#include <filesystem>

#include "base/result.h"

namespace cove {

class StagedFolder {
 public:
  // Makes the folders above `target`, too. Errors: kInvalidArgument when `target` exists and is not an empty folder,
  // kFailedPrecondition when another process fills it right now, kIo.
  static Result<StagedFolder> create(const std::filesystem::path& target);
  StagedFolder(StagedFolder&& other) noexcept;
  StagedFolder& operator=(StagedFolder&&) = delete;
  StagedFolder(const StagedFolder&) = delete;
  StagedFolder& operator=(const StagedFolder&) = delete;
  ~StagedFolder();

  const std::filesystem::path& path() const { return staging_; }
  Status finish();

 private:
  StagedFolder(std::filesystem::path target, std::filesystem::path staging, int fd);
  std::filesystem::path target_, staging_;
  int fd_ = -1;  // of the staging folder, locked
};

}  // namespace cove
