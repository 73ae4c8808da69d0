#pragma once
// What the dense families (llama, qwen2, qwen3) share in config.json. Internal to families/.

#include "base/result.h"
#include "spec/config_reader.h"
#include "spec/model_spec.h"

namespace cove {

struct DenseDefaults {
  double norm_eps = 1e-6;
  double rope_theta = 10000.0;
  int64_t head_dim = 0;  // 0 = hidden / heads
};

// Sizes, rope, token ids, with all layers alike; the family sets biases and norms. Refuses what Cove cannot compute:
// other activations, sliding windows, partial or exotic rope.
Result<ModelSpec> read_dense_config(const ConfigReader& config, const DenseDefaults& defaults);

// Both spellings: rope_theta with rope_scaling, and rope_parameters of transformers 5.
Result<RopeSpec> read_rope(const ConfigReader& config, double default_theta, int64_t context_max);

}  // namespace cove
