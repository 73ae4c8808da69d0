#include "spec/families/dense_gguf.h"

#include <algorithm>
#include <cmath>
#include <string>

#include <fmt/format.h>

#include "spec/validate.h"
#include "tensor/decode.h"

namespace cove {
namespace {

class GgufReader {
 public:
  GgufReader(std::string_view architecture, const GgufMetadata& metadata)
      : architecture_(architecture), metadata_(metadata) {}

  std::string key(std::string_view rest) const { return fmt::format("{}.{}", architecture_, rest); }

  Result<std::optional<int64_t>> integer(std::string_view rest, int64_t max) const {
    const std::string name = key(rest);
    const GgufValue* value = metadata_.find(name);
    if (value == nullptr) return std::optional<int64_t>();
    if (value->type == GgufType::kArray) {
      return make_error(ErrorCode::kUnsupported,
                        fmt::format("metadata '{}' differs from layer to layer, which Cove cannot compute", name));
    }
    const std::optional<int64_t> number = metadata_.integer(name);
    if (!number || *number < 1 || *number > max) {
      return data_corrupt(fmt::format("metadata '{}' is {}, must be an integer from 1 to {}", name,
                                      number ? fmt::to_string(*number) : "no integer", max));
    }
    return number;
  }

  Result<int64_t> required_integer(std::string_view rest, int64_t max) const {
    TRY_ASSIGN(const std::optional<int64_t> value, integer(rest, max));
    if (!value) return data_corrupt(fmt::format("metadata '{}' is missing", key(rest)));
    return *value;
  }

  double number(std::string_view rest, double absent) const { return metadata_.number(key(rest)).value_or(absent); }
  std::optional<std::string_view> string(std::string_view rest) const { return metadata_.string(key(rest)); }

 private:
  std::string_view architecture_;
  const GgufMetadata& metadata_;
};

Status read_scaling(const GgufReader& reader, int64_t context_max, RopeSpec& rope) {
  const std::string_view type = reader.string("rope.scaling.type").value_or("none");
  const double factor = reader.number("rope.scaling.factor", reader.number("rope.scale_linear", 1.0));
  if (type == "none" && factor == 1.0) return {};
  rope.factor = factor;
  if (type == "linear" || type == "none") {
    rope.kind = RopeSpec::Kind::kLinear;
    return {};
  }
  if (type != "yarn") {
    return make_error(ErrorCode::kUnsupported, fmt::format("metadata '{}' is '{}'; Cove computes none, linear and yarn",
                                                           reader.key("rope.scaling.type"), type.substr(0, 60)));
  }
  rope.kind = RopeSpec::Kind::kYarn;
  TRY_ASSIGN(const auto original, reader.integer("rope.scaling.original_context_length", SpecLimits::kContextMax));
  rope.original_context = original.value_or(context_max);
  rope.beta_fast = reader.number("rope.scaling.yarn_beta_fast", 32.0);
  rope.beta_slow = reader.number("rope.scaling.yarn_beta_slow", 1.0);
  const double derived = factor > 1.0 ? 0.1 * std::log(factor) + 1.0 : 1.0;
  rope.attention_factor = reader.number("rope.scaling.attn_factor", 1.0) * derived;
  return {};
}

// Llama 3's scaling comes as a tensor of divisors.
Status read_frequency_factors(const WeightSource& weights, RopeSpec& rope) {
  const TensorInfo* tensor = weights.find("rope_freqs.weight");
  if (tensor == nullptr) return {};
  if (tensor->shape.elements() > SpecLimits::kHeadDimMax || tensor->dtype == DType::kOpaque) {
    return data_corrupt(fmt::format("tensor 'rope_freqs.weight' has type {} and shape {}, must be at most {} numbers",
                                    tensor->type_name, to_string(tensor->shape), SpecLimits::kHeadDimMax));
  }
  rope.frequency_factors.resize(static_cast<size_t>(tensor->shape.elements()));
  return decode_to_f32(view_of(weights, *tensor), rope.frequency_factors);
}

Result<int64_t> read_head_dim(const GgufReader& reader, const LayerSpec& layer, int64_t hidden) {
  TRY_ASSIGN(const auto key_length, reader.integer("attention.key_length", SpecLimits::kHeadDimMax));
  TRY_ASSIGN(const auto value_length, reader.integer("attention.value_length", SpecLimits::kHeadDimMax));
  if (!key_length && hidden % layer.heads != 0) {
    return data_corrupt(fmt::format("{} heads do not divide the hidden size {}, and there is no '{}'", layer.heads,
                                    hidden, reader.key("attention.key_length")));
  }
  const int64_t head_dim = key_length.value_or(hidden / layer.heads);
  TRY_ASSIGN(const auto rotated, reader.integer("rope.dimension_count", SpecLimits::kHeadDimMax));
  if (value_length.value_or(head_dim) != head_dim || rotated.value_or(head_dim) != head_dim) {
    return make_error(ErrorCode::kUnsupported,
                      fmt::format("heads have {} key, {} value and {} rotated dimensions; Cove needs the same of each",
                                  head_dim, value_length.value_or(head_dim), rotated.value_or(head_dim)));
  }
  return head_dim;
}

Result<LayerSpec> read_layer(const GgufReader& reader, const WeightSource& weights, const ModelSpec& spec) {
  LayerSpec layer;
  TRY_ASSIGN(layer.heads, reader.required_integer("attention.head_count", SpecLimits::kHeadsMax));
  TRY_ASSIGN(const auto kv_heads, reader.integer("attention.head_count_kv", SpecLimits::kHeadsMax));
  layer.kv_heads = kv_heads.value_or(layer.heads);
  TRY_ASSIGN(layer.ffn_dim, reader.required_integer("feed_forward_length", SpecLimits::kFfnMax));
  TRY_ASSIGN(layer.head_dim, read_head_dim(reader, layer, spec.hidden));
  const auto has = [&](std::string_view name) { return weights.find(name) != nullptr; };
  layer.qkv_bias = has("blk.0.attn_q.bias");
  layer.output_bias = has("blk.0.attn_output.bias");
  layer.ffn_bias = has("blk.0.ffn_gate.bias");
  layer.rope.theta = reader.number("rope.freq_base", 10000.0);
  TRY(read_scaling(reader, spec.context_max, layer.rope));
  TRY(read_frequency_factors(weights, layer.rope));
  return layer;
}

Status read_token_ids(const GgufMetadata& metadata, ModelSpec& spec) {
  for (const char* key :
       {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"}) {
    const std::optional<int64_t> id = metadata.integer(key);
    if (!id) continue;
    if (*id < 0 || *id >= spec.vocab) {
      return data_corrupt(fmt::format("metadata '{}' is {}, but the vocabulary has {} entries", key, *id, spec.vocab));
    }
    const auto eos = static_cast<int32_t>(*id);
    if (std::find(spec.eos_ids.begin(), spec.eos_ids.end(), eos) == spec.eos_ids.end()) spec.eos_ids.push_back(eos);
  }
  const std::optional<int64_t> bos = metadata.integer("tokenizer.ggml.bos_token_id");
  if (bos && *bos >= 0 && *bos < spec.vocab) spec.bos_id = static_cast<int32_t>(*bos);
  return {};
}

Status refuse_experts(const GgufReader& reader) {
  TRY_ASSIGN(const auto experts, reader.integer("expert_count", INT32_MAX));
  if (!experts) return {};
  return make_error(ErrorCode::kUnsupported,
                    fmt::format("the model has {} experts a layer; Cove runs dense models of this "
                                "family only",
                                *experts));
}

}  // namespace

Result<ModelSpec> read_dense_gguf(std::string_view architecture, const GgufMetadata& metadata,
                                  const WeightSource& weights) {
  const GgufReader reader(architecture, metadata);
  ModelSpec spec;
  TRY(refuse_experts(reader));
  const TensorInfo* embedding = weights.find("token_embd.weight");
  if (embedding == nullptr) {
    return data_corrupt("tensor 'token_embd.weight' is missing: the file holds no weights, perhaps only a vocabulary");
  }
  if (embedding->shape.rank != 2) {
    return data_corrupt(fmt::format("tensor 'token_embd.weight' has shape {}, must be [vocabulary, hidden]",
                                    to_string(embedding->shape)));
  }
  spec.vocab = embedding->shape[0];
  spec.tied_embeddings = weights.find("output.weight") == nullptr;
  spec.name = std::string(metadata.string("general.name").value_or(""));
  TRY_ASSIGN(spec.hidden, reader.required_integer("embedding_length", SpecLimits::kHiddenMax));
  TRY_ASSIGN(spec.context_max, reader.required_integer("context_length", SpecLimits::kContextMax));
  TRY_ASSIGN(const int64_t layers, reader.required_integer("block_count", SpecLimits::kLayersMax));
  spec.norm_eps = reader.number("attention.layer_norm_rms_epsilon", 1e-6);
  TRY_ASSIGN(const LayerSpec layer, read_layer(reader, weights, spec));
  spec.layers.assign(static_cast<size_t>(layers), layer);
  TRY(read_token_ids(metadata, spec));
  return spec;
}

}  // namespace cove
