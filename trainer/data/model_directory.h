#pragma once
// What a Hugging Face directory holds beside the weights: config.json, generation_config.json, tokenizer_config.json.
// Written by `cove-train export`.

#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"
#include "data/bpe_trainer.h"

namespace cove::trainer {

// In the order of their ids, after the learned tokens.
std::vector<SpecialToken> special_tokens();

struct ModelShape {
  int64_t vocab = 7168, hidden = 256, layers = 12, heads = 4, kv_heads = 2, head_dim = 64, ffn = 768, context = 2048;
  double rope_theta = 10000.0, norm_eps = 1e-6;
};

struct SamplingDefaults {
  double temperature = 0.6, top_p = 0.95;
};

// `dir` holds tokenizer.json and chat_template.jinja; the other files are written beside them.
Status write_model_directory(const std::filesystem::path& dir, const ModelShape& shape,
                             const SamplingDefaults& sampling);

}  // namespace cove::trainer
