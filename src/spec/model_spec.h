#pragma once
// What a model IS, as data: read from config.json or GGUF metadata by spec/families, executed by model/. A family that
// needs new mathematics adds a field here, never a decoder of its own.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace cove {

// Rotary position embedding. `theta` is the base; the kinds differ in how the inverse frequencies are derived
// (compute/rope_table.h).
struct RopeSpec {
  enum class Kind : uint8_t { kPlain, kLinear, kLlama3, kYarn };
  Kind kind = Kind::kPlain;
  double theta = 10000.0;
  double factor = 1.0;              // kLinear, kLlama3, kYarn
  double low_freq_factor = 1.0;     // kLlama3
  double high_freq_factor = 4.0;    // kLlama3
  int64_t original_context = 8192;  // kLlama3, kYarn
  double beta_fast = 32.0;          // kYarn
  double beta_slow = 1.0;           // kYarn
  double attention_factor = 0.0;    // kYarn; 0 = derived from factor
  // false: rotate (i, i + dim/2), as Hugging Face stores weights. true: rotate (2i, 2i+1), as GGUF's llama weights
  // need.
  bool interleaved = false;
  std::vector<float> frequency_factors;  // GGUF's rope_freqs.weight, divides the inverse frequencies; empty = none

  bool operator==(const RopeSpec&) const = default;
};

// One transformer layer. Grouped-query attention and a gated dense FFN; MLA and MoE come as further fields.
struct LayerSpec {
  int64_t heads = 0;  // query heads
  int64_t kv_heads = 0;
  int64_t head_dim = 0;
  bool qkv_bias = false;  // qwen2
  bool output_bias = false;
  bool qk_norm = false;  // qwen3: RMS norm of each head of q and k before rope
  int64_t ffn_dim = 0;
  bool ffn_bias = false;
  RopeSpec rope;
};

struct ModelSpec {
  std::string family;  // "qwen2", "llama", "qwen3"
  std::string name;    // for people; may be empty
  int64_t hidden = 0;
  int64_t vocab = 0;        // rows of the embedding
  int64_t context_max = 0;  // positions the model was made for
  double norm_eps = 1e-6;
  bool tied_embeddings = false;
  std::vector<LayerSpec> layers;
  std::optional<int32_t> bos_id;
  std::vector<int32_t> eos_ids;
};

// Canonical tensor names, the same for every container: spec/families maps a container's names to these.
//   embed.weight  final_norm.weight  lm_head.weight (absent when tied)
//   layers.N.attn_norm.weight  layers.N.{q,k,v,o}.{weight,bias}  layers.N.{q_norm,k_norm}.weight
//   layers.N.ffn_norm.weight   layers.N.{gate,up,down}.{weight,bias}

// Number of parameters that one token reads in decode (everything but the embedding table).
int64_t active_parameters(const ModelSpec& spec);
// All of them; tied embeddings count once.
int64_t total_parameters(const ModelSpec& spec);
// Values that one position adds to the cache, all layers, keys and values.
int64_t kv_elements_per_token(const ModelSpec& spec);

}  // namespace cove
