#pragma once
// Which models fit into which memory: weights and KV cache computed from a model's shape. Called by cmd_doctor.cc.

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace cove::app {

// The numbers of config.json that decide memory.
struct ModelShape {
  std::string name;
  int64_t hidden = 0;
  int64_t layers = 0;
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t head_dim = 0;
  int64_t ffn = 0;
  int64_t vocab = 0;
  bool tied = false;                 // the output uses the embedding's matrix
  bool served = true;                // by this version of Cove
  int64_t parameters_known = 0;      // for shapes that the fields above do not describe (R1: MLA, experts); 0 = compute
  int64_t parameters_per_token = 0;  // read for one token, with parameters_known
  int64_t kv_values_per_token = 0;   // with parameters_known

  int64_t parameters() const;
  int64_t parameters_read_per_token() const;  // without the embedding, of which one row is read
  int64_t kv_bytes_per_token() const;         // bf16
};

struct WeightFormat {
  std::string_view name;
  double bytes_per_parameter = 0;
};

// bf16; q8_0: 34 bytes for 32 values; q4_0: 18 bytes for 32 values.
inline constexpr std::array<WeightFormat, 3> kWeightFormats = {
    {{"bf16", 2.0}, {"q8_0", 34.0 / 32}, {"q4_0", 18.0 / 32}}};

// The R1 family as published, from the smallest to the largest.
const std::vector<ModelShape>& known_models();

// The shape of a model directory, from its config.json.
Result<ModelShape> read_shape(const std::filesystem::path& model_folder);

struct Fit {
  int64_t weight_bytes = 0;
  int64_t needed_bytes = 0;  // weights, KV cache of one sequence of `context` tokens, working memory
  int64_t context_max = 0;   // tokens of KV cache that fit in all; 0 = the weights alone do not
  bool fits = false;
};

// memory_bytes is what the engine may take at most: the machine's memory times memory_fraction.
Fit fit_model(const ModelShape& shape, const WeightFormat& format, int64_t context, int64_t memory_bytes);

}  // namespace cove::app
