#pragma once
// Weights to bench with: a model's files, or random ones of a published shape for machines that do not have the model.
// Used by bench_model.cc.

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/loading/model_files.h"
#include "model/weights.h"
#include "spec/model_spec.h"

namespace cove::app {

struct BenchWeights {
  ModelSpec spec;
  std::string name;
  std::string format;
  uint64_t bytes = 0;  // of all weights; 0 for random ones
  model::TensorLookup tensors;
  model::TensorRelease release = {};  // may be empty
  std::shared_ptr<const void> keep;   // what `tensors` points into
};

Result<BenchWeights> open_bench_weights(const std::filesystem::path& path, const std::optional<SealKey>& key);

// How much of random weights the host holds at once.
enum class HostUse : uint8_t {
  kAllTensors,  // the backend may borrow them; refused when memory is short
  kFewTensors,  // the backend copies them to a device and releases each
};

// Random normal values of deviation 0.02 in `format` (f32, f16, bf16, q8_0, q4_0). kNotFound lists the shapes there
// are.
Result<BenchWeights> random_bench_weights(std::string_view shape, std::string_view format, HostUse host_use);

}  // namespace cove::app
