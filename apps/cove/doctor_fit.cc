#include "doctor_fit.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/file.h"
#include "base/json.h"

namespace cove::app {
namespace {

constexpr int64_t kWorkingBytes = int64_t{512} << 20;  // activations, logits, tokenizer, HTTP buffers

// A positive integer of config.json; 0 when the key is missing and that is allowed.
Result<int64_t> read_size(const json::value& config, std::string_view key, int64_t missing) {
  const json::value* value = find_member(config, key);
  if (value == nullptr || value->is_null()) {
    if (missing >= 0) return missing;
    return invalid_argument(fmt::format("config.json has no '{}'", key));
  }
  // Bounded, so that products of four sizes stay far below 2^63.
  constexpr int64_t kLargest = 1 << 24;
  const int64_t* number = value->if_int64();
  if (number == nullptr || *number <= 0 || *number > kLargest) {
    return invalid_argument(fmt::format("config.json: '{}' is no size between 1 and {}", key, kLargest));
  }
  return *number;
}

bool is_served_family(const json::value& config) {
  const json::value* type = find_member(config, "model_type");
  if (type == nullptr || !type->is_string()) return false;
  const std::string_view name = type->get_string();
  return name == "qwen2" || name == "llama" || name == "qwen3";
}

}  // namespace

int64_t ModelShape::parameters_read_per_token() const {
  if (parameters_known > 0) return parameters_per_token;
  const int64_t attention = hidden * head_dim * (2 * heads + 2 * kv_heads);
  return layers * (attention + 3 * hidden * ffn + 2 * hidden) + vocab * hidden;
}

int64_t ModelShape::parameters() const {
  if (parameters_known > 0) return parameters_known;
  return parameters_read_per_token() + (tied ? 0 : vocab * hidden);
}

int64_t ModelShape::kv_bytes_per_token() const {
  const int64_t values = parameters_known > 0 ? kv_values_per_token : 2 * layers * kv_heads * head_dim;
  return values * 2;
}

const std::vector<ModelShape>& known_models() {
  // Sizes from the published config.json files; R1: 671 G parameters, 37 G active, MLA keeps 512 + 64 values a layer
  // and token.
  static const std::vector<ModelShape> kModels = {
      {.name = "R1-Distill-Qwen-1.5B",
       .hidden = 1536,
       .layers = 28,
       .heads = 12,
       .kv_heads = 2,
       .head_dim = 128,
       .ffn = 8960,
       .vocab = 151936},
      {.name = "R1-Distill-Qwen-7B",
       .hidden = 3584,
       .layers = 28,
       .heads = 28,
       .kv_heads = 4,
       .head_dim = 128,
       .ffn = 18944,
       .vocab = 152064},
      {.name = "R1-Distill-Llama-8B",
       .hidden = 4096,
       .layers = 32,
       .heads = 32,
       .kv_heads = 8,
       .head_dim = 128,
       .ffn = 14336,
       .vocab = 128256},
      {.name = "R1-0528-Qwen3-8B",
       .hidden = 4096,
       .layers = 36,
       .heads = 32,
       .kv_heads = 8,
       .head_dim = 128,
       .ffn = 12288,
       .vocab = 151936},
      {.name = "R1-Distill-Qwen-14B",
       .hidden = 5120,
       .layers = 48,
       .heads = 40,
       .kv_heads = 8,
       .head_dim = 128,
       .ffn = 13824,
       .vocab = 152064},
      {.name = "R1-Distill-Qwen-32B",
       .hidden = 5120,
       .layers = 64,
       .heads = 40,
       .kv_heads = 8,
       .head_dim = 128,
       .ffn = 27648,
       .vocab = 152064},
      {.name = "R1-Distill-Llama-70B",
       .hidden = 8192,
       .layers = 80,
       .heads = 64,
       .kv_heads = 8,
       .head_dim = 128,
       .ffn = 28672,
       .vocab = 128256},
      {.name = "R1 671B",
       .served = false,
       .parameters_known = 671'026'419'200,
       .parameters_per_token = 37'000'000'000,
       .kv_values_per_token = 61 * 576},
  };
  return kModels;
}

Result<ModelShape> read_shape(const std::filesystem::path& model_folder) {
  const std::filesystem::path path = model_folder / "config.json";
  TRY_ASSIGN(const std::string text, read_file(path, size_t{16} << 20));
  auto config = parse_json(text);
  if (!config) return with_context(config.error(), path.string());
  ModelShape shape;
  shape.name = std::filesystem::weakly_canonical(model_folder).filename().string();
  TRY_ASSIGN(shape.hidden, read_size(*config, "hidden_size", -1));
  TRY_ASSIGN(shape.layers, read_size(*config, "num_hidden_layers", -1));
  TRY_ASSIGN(shape.heads, read_size(*config, "num_attention_heads", -1));
  TRY_ASSIGN(shape.kv_heads, read_size(*config, "num_key_value_heads", shape.heads));
  TRY_ASSIGN(shape.head_dim, read_size(*config, "head_dim", std::max<int64_t>(1, shape.hidden / shape.heads)));
  TRY_ASSIGN(shape.ffn, read_size(*config, "intermediate_size", -1));
  TRY_ASSIGN(shape.vocab, read_size(*config, "vocab_size", -1));
  const json::value* tied = find_member(*config, "tie_word_embeddings");
  shape.tied = tied != nullptr && tied->is_bool() && tied->get_bool();
  shape.served = is_served_family(*config);
  return shape;
}

Fit fit_model(const ModelShape& shape, const WeightFormat& format, int64_t context, int64_t memory_bytes) {
  Fit fit;
  fit.weight_bytes = static_cast<int64_t>(static_cast<double>(shape.parameters()) * format.bytes_per_parameter);
  const int64_t per_token = std::max<int64_t>(1, shape.kv_bytes_per_token());
  fit.needed_bytes = fit.weight_bytes + context * per_token + kWorkingBytes;
  fit.context_max = std::max<int64_t>(0, memory_bytes - fit.weight_bytes - kWorkingBytes) / per_token;
  fit.fits = fit.needed_bytes <= memory_bytes;
  return fit;
}

}  // namespace cove::app
