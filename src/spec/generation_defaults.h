#pragma once
// The sampling settings a model's publisher recommends: generation_config.json. What is absent stays unset, so that the
// server can fall back to its own.

#include <cstdint>
#include <optional>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace cove {

struct GenerationDefaults {
  std::optional<double> temperature;  // 0 when the file says do_sample: false
  std::optional<double> top_p;
  std::optional<int64_t> top_k;  // 0 = off
  std::optional<double> min_p;
  std::optional<double> repetition_penalty;
  std::optional<int32_t> bos_id;
  std::vector<int32_t> eos_ids;
};

// Errors: kDataCorrupt naming the key, for values of the wrong type or out of range.
Result<GenerationDefaults> parse_generation_config(const json::value& config);

}  // namespace cove
