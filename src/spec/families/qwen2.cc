// Qwen2 and Qwen2.5, and the R1 distillations made from them: biases on q, k and v.

#include "spec/families/dense_config.h"
#include "spec/families/dense_gguf.h"
#include "spec/families/family.h"

namespace cove {
namespace {

Result<ModelSpec> from_config(const ConfigReader& config) {
  TRY_ASSIGN(ModelSpec spec, read_dense_config(config, {}));
  spec.family = "qwen2";
  for (LayerSpec& layer : spec.layers) layer.qkv_bias = true;
  return spec;
}

Result<ModelSpec> from_gguf(const GgufMetadata& metadata, const WeightSource& weights) {
  TRY_ASSIGN(ModelSpec spec, read_dense_gguf("qwen2", metadata, weights));
  spec.family = "qwen2";
  for (LayerSpec& layer : spec.layers) layer.qkv_bias = true;
  return spec;
}

}  // namespace

const Family kQwen2 = {"qwen2", from_config, from_gguf};

}  // namespace cove
