#include "model/weights.h"

#include <algorithm>
#include <string>

#include <fmt/format.h>

#include "compute/rope_table.h"
#include "tensor/decode.h"

namespace cove::model {
namespace {

// A part of a linear layer as the spec describes it.
struct PartSpec {
  std::string_view name;  // canonical: "q"
  int64_t out_features = 0;
  bool bias = false;
};

struct LinearSpec {
  std::string prefix;  // of its parts' names: "layers.0."
  std::vector<PartSpec> parts;
  int64_t in_features = 0;
};

struct LayerLinears {
  LinearSpec qkv;
  LinearSpec output;
  LinearSpec gate_up;
  LinearSpec down;
};

std::string layer_prefix(size_t index) { return fmt::format("layers.{}.", index); }

LayerLinears linears_of(const ModelSpec& spec, size_t index) {
  const LayerSpec& layer = spec.layers[index];
  const std::string prefix = layer_prefix(index);
  const int64_t q_features = layer.heads * layer.head_dim;
  const int64_t kv_features = layer.kv_heads * layer.head_dim;
  return {.qkv = {prefix,
                  {{"q", q_features, layer.qkv_bias},
                   {"k", kv_features, layer.qkv_bias},
                   {"v", kv_features, layer.qkv_bias}},
                  spec.hidden},
          .output = {prefix, {{"o", spec.hidden, layer.output_bias}}, q_features},
          .gate_up = {prefix,
                      {{"gate", layer.ffn_dim, layer.ffn_bias}, {"up", layer.ffn_dim, layer.ffn_bias}},
                      spec.hidden},
          .down = {prefix, {{"down", spec.hidden, layer.ffn_bias}}, layer.ffn_dim}};
}

LinearSpec head_of(const ModelSpec& spec) {
  return {"", {{spec.tied_embeddings ? "embed" : "lm_head", spec.vocab, false}}, spec.hidden};
}

Result<TensorView> find_tensor(const TensorLookup& tensors, const std::string& name, const Shape& shape) {
  const TensorView view = tensors(name);
  if (!view) return data_corrupt(fmt::format("tensor '{}' is missing", name));
  if (view.shape != shape) {
    return data_corrupt(fmt::format("tensor '{}' has shape {}, the configuration says {}", name, to_string(view.shape),
                                    to_string(shape)));
  }
  return view;
}

Result<LinearWeightDesc> describe(const TensorLookup& tensors, const LinearSpec& linear) {
  LinearWeightDesc desc{.name = linear.prefix};
  for (const PartSpec& part : linear.parts) {
    const std::string name = fmt::format("{}{}", linear.prefix, part.name);
    desc.name = name;
    LinearPart loaded;
    TRY_ASSIGN(loaded.weight, find_tensor(tensors, name + ".weight", {part.out_features, linear.in_features}));
    if (part.bias) {
      TRY_ASSIGN(loaded.bias, find_tensor(tensors, name + ".bias", {part.out_features}));
    }
    desc.parts.push_back(loaded);
  }
  return desc;
}

class Loader {
 public:
  Loader(const ModelSpec& spec, const TensorLookup& tensors, Backend& backend, const TensorRelease& release)
      : spec_(spec), tensors_(tensors), backend_(backend), release_(release) {}

  Result<ConstantVector> vector(const std::string& name, int64_t size) const {
    TRY_ASSIGN(const TensorView view, find_tensor(tensors_, name, {size}));
    std::vector<float> values(static_cast<size_t>(size));
    const Status decoded = decode_to_f32(view, values);
    if (!decoded) return with_context(decoded.error(), fmt::format("tensor '{}'", name));
    return backend_.load_vector(values);
  }

  Result<std::unique_ptr<LinearWeight>> linear(const LinearSpec& spec) const {
    TRY_ASSIGN(const LinearWeightDesc desc, describe(tensors_, spec));
    TRY_ASSIGN(std::unique_ptr<LinearWeight> weight, backend_.load_linear(desc));
    if (!weight->borrows_host) release(spec);
    return weight;
  }

  Result<LayerWeights> layer(size_t index);
  Result<DecoderWeights> all();

 private:
  Status load_rope(const LayerSpec& layer, LayerWeights& weights);
  void release(const LinearSpec& spec) const;

  const ModelSpec& spec_;
  const TensorLookup& tensors_;
  Backend& backend_;
  const TensorRelease& release_;
  struct LoadedRope {
    std::vector<float> inv_freq;
    std::shared_ptr<const DeviceBuffer> buffer;
  };
  std::vector<LoadedRope> ropes_;
};

RopeTableArgs rope_args(const RopeSpec& rope, int64_t dim) {
  return {.kind = static_cast<RopeTableArgs::Kind>(rope.kind),
          .dim = dim,
          .theta = rope.theta,
          .factor = rope.factor,
          .low_freq_factor = rope.low_freq_factor,
          .high_freq_factor = rope.high_freq_factor,
          .original_context = rope.original_context,
          .beta_fast = rope.beta_fast,
          .beta_slow = rope.beta_slow,
          .attention_factor = rope.attention_factor,
          .frequency_factors = rope.frequency_factors};
}
static_assert(static_cast<int>(RopeSpec::Kind::kYarn) == static_cast<int>(RopeTableArgs::Kind::kYarn));
static_assert(static_cast<int>(RopeSpec::Kind::kLlama3) == static_cast<int>(RopeTableArgs::Kind::kLlama3));

// The embedding table comes first and keeps borrowing its tensor, which an output layer may share.
void Loader::release(const LinearSpec& spec) const {
  if (!release_) return;
  for (const PartSpec& part : spec.parts) {
    if (part.name != "embed") release_(fmt::format("{}{}.weight", spec.prefix, part.name));
  }
}

// One buffer for all layers of equal frequencies: backends compute the angles of a step once per buffer.
Status Loader::load_rope(const LayerSpec& layer, LayerWeights& weights) {
  RopeTable table = make_rope_table(rope_args(layer.rope, layer.head_dim));
  weights.rope_scale = table.scale;
  for (const LoadedRope& loaded : ropes_) {
    if (loaded.inv_freq == table.inv_freq) weights.inv_freq = loaded.buffer;
  }
  if (weights.inv_freq != nullptr) return {};
  TRY_ASSIGN(weights.inv_freq, backend_.load_vector(table.inv_freq));
  ropes_.push_back({.inv_freq = std::move(table.inv_freq), .buffer = weights.inv_freq});
  return {};
}

Result<LayerWeights> Loader::layer(size_t index) {
  const LayerSpec& layer = spec_.layers[index];
  const std::string prefix = layer_prefix(index);
  const LayerLinears linears = linears_of(spec_, index);
  LayerWeights weights;
  TRY_ASSIGN(weights.attention_norm, vector(prefix + "attn_norm.weight", spec_.hidden));
  TRY_ASSIGN(weights.qkv, linear(linears.qkv));
  if (layer.qk_norm) {
    TRY_ASSIGN(weights.q_norm, vector(prefix + "q_norm.weight", layer.head_dim));
    TRY_ASSIGN(weights.k_norm, vector(prefix + "k_norm.weight", layer.head_dim));
  }
  TRY(load_rope(layer, weights));
  TRY_ASSIGN(weights.output, linear(linears.output));
  TRY_ASSIGN(weights.ffn_norm, vector(prefix + "ffn_norm.weight", spec_.hidden));
  TRY_ASSIGN(weights.gate_up, linear(linears.gate_up));
  TRY_ASSIGN(weights.down, linear(linears.down));
  return weights;
}

Result<DecoderWeights> Loader::all() {
  DecoderWeights weights;
  TRY_ASSIGN(const TensorView embedding, find_tensor(tensors_, "embed.weight", {spec_.vocab, spec_.hidden}));
  TRY_ASSIGN(weights.embedding, backend_.load_row_table(embedding));
  for (size_t i = 0; i < spec_.layers.size(); ++i) {
    TRY_ASSIGN(LayerWeights layer_weights, layer(i));
    for (const auto* linear :
         {&layer_weights.qkv, &layer_weights.output, &layer_weights.gate_up, &layer_weights.down}) {
      weights.bytes_read += (*linear)->bytes_read;
    }
    weights.layers.push_back(std::move(layer_weights));
  }
  TRY_ASSIGN(weights.final_norm, vector("final_norm.weight", spec_.hidden));
  TRY_ASSIGN(weights.lm_head, linear(head_of(spec_)));
  weights.bytes_read += weights.lm_head->bytes_read;
  return weights;
}

Status check_linear(const TensorLookup& tensors, const std::string& name, const Backend& backend, int64_t in_features) {
  const TensorView view = tensors(name);
  if (!view) return data_corrupt(fmt::format("tensor '{}' is missing", name));
  const Status supported = backend.supports({.kind = OpKind::kLinear, .dtype = view.dtype, .in_features = in_features});
  if (!supported) return with_context(supported.error(), fmt::format("tensor '{}'", name));
  return {};
}

Status check_shape(const ModelSpec& spec) {
  if (spec.layers.empty() || spec.hidden <= 0 || spec.vocab <= 0) {
    return data_corrupt("the model has no layers, no width or no vocabulary");
  }
  const LayerSpec& first = spec.layers.front();
  for (const LayerSpec& layer : spec.layers) {
    if (layer.kv_heads != first.kv_heads || layer.head_dim != first.head_dim) {
      return make_error(ErrorCode::kUnsupported, "layers with different numbers of key heads share no cache layout");
    }
    if (layer.kv_heads <= 0 || layer.heads % layer.kv_heads != 0 || layer.head_dim <= 0 || layer.head_dim % 2 != 0) {
      return data_corrupt(fmt::format("{} query heads over {} key heads of {} values do not fit", layer.heads,
                                      layer.kv_heads, layer.head_dim));
    }
  }
  return {};
}

}  // namespace

Status check_supported(const ModelSpec& spec, const TensorLookup& tensors, const Backend& backend) {
  TRY(check_shape(spec));
  const TensorView embedding = tensors("embed.weight");
  if (!embedding) return data_corrupt("tensor 'embed.weight' is missing");
  TRY(backend.supports({.kind = OpKind::kEmbed, .dtype = embedding.dtype}));
  for (size_t i = 0; i < spec.layers.size(); ++i) {
    const LayerSpec& layer = spec.layers[i];
    const std::string prefix = fmt::format("layers.{}.", i);
    for (const char* name : {"q", "k", "v", "gate", "up"}) {
      TRY(check_linear(tensors, prefix + name + ".weight", backend, spec.hidden));
    }
    TRY(check_linear(tensors, prefix + "o.weight", backend, layer.heads * layer.head_dim));
    TRY(check_linear(tensors, prefix + "down.weight", backend, layer.ffn_dim));
  }
  return check_linear(tensors, spec.tied_embeddings ? "embed.weight" : "lm_head.weight", backend, spec.hidden);
}

Result<std::optional<uint64_t>> plan_weights(const ModelSpec& spec, const TensorLookup& tensors,
                                             const Backend& backend) {
  std::vector<LinearSpec> linears = {head_of(spec)};
  for (size_t i = 0; i < spec.layers.size(); ++i) {
    LayerLinears layer = linears_of(spec, i);
    for (LinearSpec* linear : {&layer.qkv, &layer.output, &layer.gate_up, &layer.down})
      linears.push_back(std::move(*linear));
  }
  TRY_ASSIGN(const TensorView embedding, find_tensor(tensors, "embed.weight", {spec.vocab, spec.hidden}));
  uint64_t own = static_cast<uint64_t>(embedding.bytes());
  uint64_t shared = 0;
  for (const LinearSpec& linear : linears) {
    TRY_ASSIGN(const LinearWeightDesc desc, describe(tensors, linear));
    const std::optional<LinearMemory> memory = backend.plan_linear(desc);
    if (!memory) return std::optional<uint64_t>();
    own += memory->own;
    shared = std::max(shared, memory->shared);
  }
  return std::optional<uint64_t>(own + shared);
}

Result<DecoderWeights> load_weights(const ModelSpec& spec, const TensorLookup& tensors, Backend& backend,
                                    const TensorRelease& release) {
  return Loader(spec, tensors, backend, release).all();
}

}  // namespace cove::model
