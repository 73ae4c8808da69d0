#include "spec/families/dense_config.h"

#include <algorithm>

#include <fmt/format.h>
#include <boost/json/array.hpp>

#include "spec/validate.h"

namespace cove {
namespace {

Status refuse_other_activations(const ConfigReader& config) {
  TRY_ASSIGN(const std::optional<std::string> activation, config.string("hidden_act"));
  if (!activation || *activation == "silu" || *activation == "swish") return {};
  return config.unsupported("hidden_act", fmt::format("is '{}'; Cove computes silu", *activation));
}

// A window that no layer uses (max_window_layers is all of them) changes nothing.
Status refuse_sliding_windows(const ConfigReader& config, int64_t layers) {
  const json::value* types = config.find("layer_types");
  if (types != nullptr && types->is_array()) {
    for (const json::value& type : types->get_array()) {
      if (type.is_string() && type.get_string() == "full_attention") continue;
      return config.unsupported("layer_types", "asks for other layers than full_attention, which Cove cannot compute");
    }
    if (!types->get_array().empty()) return {};
  }
  TRY_ASSIGN(const std::optional<bool> used, config.boolean("use_sliding_window"));
  if (used != true || config.find("sliding_window") == nullptr) return {};
  TRY_ASSIGN(const std::optional<int64_t> first, config.integer("max_window_layers", {0, INT32_MAX}));
  if (first && *first >= layers) return {};
  return config.unsupported("use_sliding_window", "is true; Cove computes full attention only");
}

Result<LayerSpec> read_layer(const ConfigReader& config, const DenseDefaults& defaults, const ModelSpec& spec) {
  LayerSpec layer;
  TRY_ASSIGN(layer.heads, config.required_integer("num_attention_heads", {1, SpecLimits::kHeadsMax}));
  TRY_ASSIGN(const auto kv_heads, config.integer("num_key_value_heads", {1, SpecLimits::kHeadsMax}));
  layer.kv_heads = kv_heads.value_or(layer.heads);
  TRY_ASSIGN(layer.ffn_dim, config.required_integer("intermediate_size", {1, SpecLimits::kFfnMax}));
  TRY_ASSIGN(const auto head_dim, config.integer("head_dim", {1, SpecLimits::kHeadDimMax}));
  if (!head_dim && defaults.head_dim == 0 && spec.hidden % layer.heads != 0) {
    return config.corrupt("hidden_size",
                          fmt::format("is {}, which {} attention heads do not divide, and there is no head_dim",
                                      spec.hidden, layer.heads));
  }
  layer.head_dim = head_dim.value_or(defaults.head_dim != 0 ? defaults.head_dim : spec.hidden / layer.heads);
  TRY_ASSIGN(layer.rope, read_rope(config, defaults.rope_theta, spec.context_max));
  return layer;
}

// Yarn is configured on models whose max_position_embeddings may still be the original context.
int64_t usable_context(const RopeSpec& rope, int64_t declared) {
  if (rope.kind != RopeSpec::Kind::kYarn) return declared;
  const double stretched = static_cast<double>(rope.original_context) * rope.factor;
  return std::max(declared, static_cast<int64_t>(std::min(stretched, static_cast<double>(SpecLimits::kContextMax))));
}

}  // namespace

Result<ModelSpec> read_dense_config(const ConfigReader& config, const DenseDefaults& defaults) {
  ModelSpec spec;
  TRY_ASSIGN(spec.hidden, config.required_integer("hidden_size", {1, SpecLimits::kHiddenMax}));
  TRY_ASSIGN(spec.vocab, config.required_integer("vocab_size", {1, SpecLimits::kVocabMax}));
  TRY_ASSIGN(spec.context_max, config.required_integer("max_position_embeddings", {1, SpecLimits::kContextMax}));
  TRY_ASSIGN(const int64_t layers, config.required_integer("num_hidden_layers", {1, SpecLimits::kLayersMax}));
  TRY(refuse_other_activations(config));
  TRY(refuse_sliding_windows(config, layers));
  TRY_ASSIGN(const auto eps, config.number("rms_norm_eps", {0.0, 0.1}));
  spec.norm_eps = eps.value_or(defaults.norm_eps);
  TRY_ASSIGN(const auto tied, config.boolean("tie_word_embeddings"));
  spec.tied_embeddings = tied.value_or(false);
  TRY_ASSIGN(const LayerSpec layer, read_layer(config, defaults, spec));
  spec.layers.assign(static_cast<size_t>(layers), layer);
  spec.context_max = usable_context(layer.rope, spec.context_max);
  TRY_ASSIGN(const std::vector<int32_t> bos, config.token_ids("bos_token_id"));
  if (!bos.empty()) spec.bos_id = bos.front();
  TRY_ASSIGN(spec.eos_ids, config.token_ids("eos_token_id"));
  return spec;
}

}  // namespace cove
