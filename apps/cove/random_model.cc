#include "random_model.h"

#include <algorithm>
#include <map>
#include <string>

#include <fmt/format.h>

#include "spec/expected_tensors.h"

namespace cove::app {
namespace {

struct NamedShape {
  std::string_view name;
  std::string_view family;
  int64_t hidden;
  int64_t layers;
  int64_t heads;
  int64_t kv_heads;
  int64_t ffn_dim;
  int64_t vocab;
};

constexpr NamedShape kShapes[] = {
    {"tiny", "qwen2", 256, 2, 4, 2, 512, 1024},       {"250m", "qwen2", 1024, 12, 16, 4, 4096, 32768},
    {"1.5b", "qwen2", 1536, 28, 12, 2, 8960, 151936}, {"7b", "qwen2", 3584, 28, 28, 4, 18944, 152064},
    {"8b", "llama", 4096, 32, 32, 8, 14336, 128256},  {"14b", "qwen2", 5120, 48, 40, 8, 13824, 152064},
    {"32b", "qwen2", 5120, 64, 40, 8, 27648, 152064},
};

// splitmix64 (Steele, Lea, Flood): a good 64-bit number for every counter.
uint64_t mixed(uint64_t counter) {
  uint64_t z = counter * 0x9e3779b97f4a7c15ULL;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

// The sum of four uniform 16-bit numbers, centred, scaled to deviation 1: close enough to normal for timing.
float near_normal(uint64_t bits) {
  const auto sum =
      static_cast<int32_t>((bits & 0xffff) + ((bits >> 16) & 0xffff) + ((bits >> 32) & 0xffff) + (bits >> 48));
  constexpr float kDeviation = 37837.2F;  // sqrt(4 / 12) * 65536
  return static_cast<float>(sum - 2 * 65535) / kDeviation;
}

}  // namespace

std::optional<ModelSpec> random_shape(std::string_view name) {
  const auto* shape = std::ranges::find(kShapes, name, &NamedShape::name);
  if (shape == std::end(kShapes)) return std::nullopt;
  ModelSpec spec;
  spec.family = shape->family;
  spec.name = fmt::format("random-{}", name);
  spec.hidden = shape->hidden;
  spec.vocab = shape->vocab;
  spec.context_max = 131072;
  spec.bos_id = static_cast<int32_t>(shape->vocab - 2);
  spec.eos_ids = {static_cast<int32_t>(shape->vocab - 1)};
  LayerSpec layer;
  layer.heads = shape->heads;
  layer.kv_heads = shape->kv_heads;
  layer.head_dim = shape->hidden / shape->heads;
  layer.ffn_dim = shape->ffn_dim;
  layer.qkv_bias = shape->family == "qwen2";
  if (shape->family == "llama") {
    spec.norm_eps = 1e-5;
    layer.rope = {.kind = RopeSpec::Kind::kLlama3,
                  .theta = 500000.0,
                  .factor = 8.0,
                  .original_context = 8192,
                  .frequency_factors = {}};
  }
  spec.layers.assign(static_cast<size_t>(shape->layers), layer);
  return spec;
}

engine::RowSource random_rows(const ModelSpec& spec, uint64_t seed, float deviation) {
  std::map<std::string, uint64_t, std::less<>> first_value;  // of each tensor, in one sequence over the model
  uint64_t next = seed << 40;
  for (const ExpectedTensor& tensor : expected_tensors(spec)) {
    first_value[tensor.name] = next;
    next += static_cast<uint64_t>(tensor.shape.elements());
  }
  std::map<std::string, int64_t, std::less<>> row_values;
  for (const ExpectedTensor& tensor : expected_tensors(spec))
    row_values[tensor.name] = tensor.shape[tensor.shape.rank - 1];
  return [=](std::string_view name, int64_t first_row, std::span<float> rows) -> Status {
    if (name.find("norm.") != std::string_view::npos) {
      std::ranges::fill(rows, 1.0F);
      return {};
    }
    const uint64_t begin =
        first_value.find(name)->second + static_cast<uint64_t>(first_row * row_values.find(name)->second);
    for (size_t i = 0; i < rows.size(); ++i) rows[i] = deviation * near_normal(mixed(begin + i));
    return {};
  };
}

}  // namespace cove::app
