#pragma once
// Models of published shapes with random weights, for benches and load tests. Internal to cmd_model.cc.

#include <cstdint>
#include <optional>
#include <string_view>

#include "engine/loading/model_writer.h"
#include "spec/model_spec.h"

namespace cove::app {

// "tiny", "250m" (made up), "1.5b", "7b", "14b", "32b" (R1-Distill-Qwen), "8b" (R1-Distill-Llama).
std::optional<ModelSpec> random_shape(std::string_view name);

// Norms are 1; other values are near-normal with this deviation, the same for one seed whatever the container and the
// threads.
engine::RowSource random_rows(const ModelSpec& spec, uint64_t seed, float deviation);

}  // namespace cove::app
