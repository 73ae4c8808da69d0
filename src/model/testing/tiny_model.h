#pragma once
// Small models with random weights, for tests of model/, engine/ and backends. Header only; included by *_test.cc
// alone.

#include <cmath>
#include <map>
#include <random>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "model/weights.h"
#include "spec/model_spec.h"

namespace cove::testing {

struct TinyShape {
  int64_t layers = 2;
  int64_t hidden = 32;
  int64_t heads = 4;
  int64_t kv_heads = 2;
  int64_t head_dim = 8;
  int64_t ffn = 48;
  int64_t vocab = 64;
  int64_t context = 512;
  bool qkv_bias = true;
  bool qk_norm = false;
  bool tied = false;
  RopeSpec rope{};
};

// f32 weights, drawn so that logits are spread over a few units. The TensorLookup points into this object.
class TinyModel {
 public:
  explicit TinyModel(const TinyShape& shape = {}, uint32_t seed = 1) : random_(seed) {
    spec_.family = "tiny";
    spec_.hidden = shape.hidden;
    spec_.vocab = shape.vocab;
    spec_.context_max = shape.context;
    spec_.tied_embeddings = shape.tied;
    const LayerSpec layer{.heads = shape.heads,
                          .kv_heads = shape.kv_heads,
                          .head_dim = shape.head_dim,
                          .qkv_bias = shape.qkv_bias,
                          .output_bias = false,
                          .qk_norm = shape.qk_norm,
                          .ffn_dim = shape.ffn,
                          .ffn_bias = false,
                          .rope = shape.rope};
    spec_.layers.assign(static_cast<size_t>(shape.layers), layer);
    add("embed.weight", {shape.vocab, shape.hidden}, 1.0F);
    for (int64_t i = 0; i < shape.layers; ++i) add_layer(fmt::format("layers.{}.", i), layer);
    add_scale("final_norm.weight", shape.hidden);
    if (!shape.tied) add_matrix("lm_head", shape.vocab, shape.hidden, false, 2.0F);
  }
  TinyModel(const TinyModel&) = delete;
  TinyModel& operator=(const TinyModel&) = delete;

  const ModelSpec& spec() const { return spec_; }
  ModelSpec& spec() { return spec_; }
  std::vector<float>& values(const std::string& name) { return tensors_.at(name).values; }
  void remove(const std::string& name) { tensors_.erase(name); }
  model::TensorLookup lookup() const {
    return [this](std::string_view name) {
      const auto found = tensors_.find(std::string(name));
      if (found == tensors_.end()) return TensorView{};
      return TensorView{
          .data = const_cast<float*>(found->second.values.data()), .dtype = DType::kF32, .shape = found->second.shape};
    };
  }

 private:
  struct Tensor {
    Shape shape;
    std::vector<float> values;
  };

  void add(const std::string& name, const Shape& shape, float deviation, float mean = 0.0F) {
    std::normal_distribution<float> normal(mean, deviation);
    Tensor& tensor = tensors_[name];
    tensor.shape = shape;
    tensor.values.resize(static_cast<size_t>(shape.elements()));
    for (float& value : tensor.values) value = normal(random_);
  }
  void add_scale(const std::string& name, int64_t size) { add(name, {size}, 0.1F, 1.0F); }
  void add_matrix(const std::string& name, int64_t out, int64_t in, bool bias, float gain = 1.0F) {
    add(name + ".weight", {out, in}, gain / std::sqrt(static_cast<float>(in)));
    if (bias) add(name + ".bias", {out}, 0.5F);
  }
  void add_layer(const std::string& prefix, const LayerSpec& layer) {
    const int64_t q_features = layer.heads * layer.head_dim;
    const int64_t kv_features = layer.kv_heads * layer.head_dim;
    add_scale(prefix + "attn_norm.weight", spec_.hidden);
    add_matrix(prefix + "q", q_features, spec_.hidden, layer.qkv_bias, 2.0F);
    add_matrix(prefix + "k", kv_features, spec_.hidden, layer.qkv_bias, 2.0F);
    add_matrix(prefix + "v", kv_features, spec_.hidden, layer.qkv_bias);
    add_matrix(prefix + "o", spec_.hidden, q_features, false);
    if (layer.qk_norm) {
      add_scale(prefix + "q_norm.weight", layer.head_dim);
      add_scale(prefix + "k_norm.weight", layer.head_dim);
    }
    add_scale(prefix + "ffn_norm.weight", spec_.hidden);
    add_matrix(prefix + "gate", layer.ffn_dim, spec_.hidden, false);
    add_matrix(prefix + "up", layer.ffn_dim, spec_.hidden, false);
    add_matrix(prefix + "down", spec_.hidden, layer.ffn_dim, false);
  }

  std::mt19937 random_;
  ModelSpec spec_;
  std::map<std::string, Tensor> tensors_;
};

}  // namespace cove::testing
