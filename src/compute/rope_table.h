#pragma once
// Inverse frequencies of rotary embeddings, from a model's RopeSpec values. Pure functions; used when a model is
// loaded. compute/ may not see spec/, so the values come as a plain struct of the same meaning (spec/model_spec.h fills
// it).

#include <cstdint>
#include <vector>

namespace cove {

struct RopeTableArgs {
  enum class Kind : uint8_t { kPlain, kLinear, kLlama3, kYarn };
  Kind kind = Kind::kPlain;
  int64_t dim = 0;  // rotated dimensions: head_dim
  double theta = 10000.0;
  double factor = 1.0;
  double low_freq_factor = 1.0;
  double high_freq_factor = 4.0;
  int64_t original_context = 8192;
  double beta_fast = 32.0;
  double beta_slow = 1.0;
  double attention_factor = 0.0;  // 0 = derived
  std::vector<float> frequency_factors{};
};

struct RopeTable {
  std::vector<float> inv_freq{};  // [dim / 2]
  float scale = 1.0F;             // multiplies cos and sin
};

// Formulas: Hugging Face transformers' modeling_rope_utils, in double, rounded once.
RopeTable make_rope_table(const RopeTableArgs& args);

}  // namespace cove
