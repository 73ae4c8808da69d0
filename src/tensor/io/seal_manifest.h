#pragma once
// The list of an encrypted model's files, itself a sealed file of the folder. Internal to sealed_model.cc.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace cove {

struct ManifestEntry {
  std::string name;    // relative, '/' between folders
  std::string header;  // hex of its sealed header's digest
  uint64_t bytes = 0;  // of plaintext
};

std::string manifest_text(const std::vector<ManifestEntry>& entries);
// Errors: kDataCorrupt, also for names that lead out of the folder.
Result<std::vector<ManifestEntry>> parse_manifest(std::string_view text);

}  // namespace cove
