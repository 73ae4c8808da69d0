// Llama 2 and 3 and the R1 distillations made from them. GGUF stores the rows of q and k so that neighbouring values
// rotate together; Hugging Face rotates halves.

#include "spec/families/dense_config.h"
#include "spec/families/dense_gguf.h"
#include "spec/families/family.h"

namespace cove {
namespace {

Result<ModelSpec> from_config(const ConfigReader& config) {
  TRY_ASSIGN(ModelSpec spec, read_dense_config(config, {}));
  spec.family = "llama";
  TRY_ASSIGN(const auto attention_bias, config.boolean("attention_bias"));
  TRY_ASSIGN(const auto mlp_bias, config.boolean("mlp_bias"));
  for (LayerSpec& layer : spec.layers) {
    layer.qkv_bias = layer.output_bias = attention_bias.value_or(false);
    layer.ffn_bias = mlp_bias.value_or(false);
  }
  return spec;
}

Result<ModelSpec> from_gguf(const GgufMetadata& metadata, const WeightSource& weights) {
  TRY_ASSIGN(ModelSpec spec, read_dense_gguf("llama", metadata, weights));
  spec.family = "llama";
  for (LayerSpec& layer : spec.layers) layer.rope.interleaved = true;
  return spec;
}

}  // namespace

const Family kLlama = {"llama", from_config, from_gguf};

}  // namespace cove
