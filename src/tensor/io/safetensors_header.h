#pragma once
// The JSON header of a safetensors file as it is written there, before its numbers are checked. Internal to io/.

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace cove {

struct RawTensorEntry {
  std::string name;
  std::string dtype;
  std::vector<uint64_t> shape;
  std::vector<uint64_t> data_offsets;
};

struct RawSafetensorsHeader {
  std::vector<RawTensorEntry> entries;
  std::map<std::string, std::string> metadata;
};

// Strict: one JSON object; each tensor has dtype, shape and two data_offsets (unknown members are skipped), metadata is
// strings only, no name twice. Errors: kDataCorrupt.
Result<RawSafetensorsHeader> parse_safetensors_json(std::string_view text);

}  // namespace cove
