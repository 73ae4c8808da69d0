// Qwen3 (dense): heads of their own size, each normalised before rope.

#include "spec/families/dense_config.h"
#include "spec/families/dense_gguf.h"
#include "spec/families/family.h"

namespace cove {
namespace {

constexpr int64_t kHeadDim = 128;  // transformers' Qwen3Config

Result<ModelSpec> from_config(const ConfigReader& config) {
  TRY_ASSIGN(ModelSpec spec, read_dense_config(config, {.head_dim = kHeadDim}));
  spec.family = "qwen3";
  TRY_ASSIGN(const auto bias, config.boolean("attention_bias"));
  for (LayerSpec& layer : spec.layers) {
    layer.qk_norm = true;
    layer.qkv_bias = layer.output_bias = bias.value_or(false);
  }
  return spec;
}

Result<ModelSpec> from_gguf(const GgufMetadata& metadata, const WeightSource& weights) {
  TRY_ASSIGN(ModelSpec spec, read_dense_gguf("qwen3", metadata, weights));
  spec.family = "qwen3";
  for (LayerSpec& layer : spec.layers) layer.qk_norm = true;
  return spec;
}

}  // namespace

const Family kQwen3 = {"qwen3", from_config, from_gguf};

}  // namespace cove
