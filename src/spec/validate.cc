#include "spec/validate.h"

#include <cmath>
#include <string_view>

#include <fmt/format.h>

namespace cove {
namespace {

struct Bounded {
  std::string_view what;
  int64_t value;
  int64_t max;
};

Status check_bounds(const Bounded& bounded) {
  if (bounded.value >= 1 && bounded.value <= bounded.max) return {};
  return data_corrupt(fmt::format("{} is {}, must be 1 to {}", bounded.what, bounded.value, bounded.max));
}

Status check_finite_positive(std::string_view what, double value) {
  if (std::isfinite(value) && value > 0.0) return {};
  return data_corrupt(fmt::format("{} is {}, must be positive", what, value));
}

Status check_frequency_factors(const RopeSpec& rope, int64_t head_dim) {
  if (rope.frequency_factors.empty()) return {};
  if (static_cast<int64_t>(rope.frequency_factors.size()) != head_dim / 2) {
    return data_corrupt(fmt::format("there are {} rope frequency factors, must be {} (half of the head size)",
                                    rope.frequency_factors.size(), head_dim / 2));
  }
  for (const float factor : rope.frequency_factors) {
    TRY(check_finite_positive("a rope frequency factor", static_cast<double>(factor)));
  }
  return {};
}

Status check_rope(const RopeSpec& rope, int64_t head_dim) {
  TRY(check_finite_positive("the rope base (rope_theta)", rope.theta));
  TRY(check_finite_positive("the rope scaling factor", rope.factor));
  TRY(check_bounds({"the original context of the rope scaling", rope.original_context, SpecLimits::kContextMax}));
  if (rope.kind == RopeSpec::Kind::kLlama3) {
    TRY(check_finite_positive("the rope scaling's low_freq_factor", rope.low_freq_factor));
    if (!std::isfinite(rope.high_freq_factor) || rope.high_freq_factor <= rope.low_freq_factor) {
      return data_corrupt(
          fmt::format("the rope scaling's high_freq_factor is {}, must be more than its low_freq_factor {}",
                      rope.high_freq_factor, rope.low_freq_factor));
    }
  }
  if (rope.kind == RopeSpec::Kind::kYarn) {
    TRY(check_finite_positive("the rope scaling's beta_fast", rope.beta_fast));
    TRY(check_finite_positive("the rope scaling's beta_slow", rope.beta_slow));
    if (!std::isfinite(rope.attention_factor) || rope.attention_factor < 0.0) {
      return data_corrupt(
          fmt::format("the rope scaling's attention factor is {}, must not be negative", rope.attention_factor));
    }
    if (rope.theta <= 1.0) return data_corrupt(fmt::format("yarn needs a rope base above 1, it is {}", rope.theta));
  }
  return check_frequency_factors(rope, head_dim);
}

Status check_layer(const LayerSpec& layer) {
  TRY(check_bounds({"the number of attention heads", layer.heads, SpecLimits::kHeadsMax}));
  TRY(check_bounds({"the number of key-value heads", layer.kv_heads, SpecLimits::kHeadsMax}));
  TRY(check_bounds({"the head size", layer.head_dim, SpecLimits::kHeadDimMax}));
  TRY(check_bounds({"the feed-forward size", layer.ffn_dim, SpecLimits::kFfnMax}));
  if (layer.heads % layer.kv_heads != 0) {
    return data_corrupt(
        fmt::format("{} attention heads cannot be shared by {} key-value heads", layer.heads, layer.kv_heads));
  }
  if (layer.head_dim % 2 != 0) return data_corrupt(fmt::format("the head size is {}, must be even", layer.head_dim));
  return check_rope(layer.rope, layer.head_dim);
}

Status check_token_id(std::string_view what, int32_t id, int64_t vocab) {
  if (id >= 0 && id < vocab) return {};
  return data_corrupt(fmt::format("the {} token's id is {}, but the vocabulary has {} entries", what, id, vocab));
}

}  // namespace

Status validate_spec(const ModelSpec& spec) {
  TRY(check_bounds({"the hidden size", spec.hidden, SpecLimits::kHiddenMax}));
  TRY(check_bounds({"the vocabulary's size", spec.vocab, SpecLimits::kVocabMax}));
  TRY(check_bounds({"the longest context", spec.context_max, SpecLimits::kContextMax}));
  TRY(check_bounds({"the number of layers", static_cast<int64_t>(spec.layers.size()), SpecLimits::kLayersMax}));
  if (!std::isfinite(spec.norm_eps) || spec.norm_eps < 0.0 || spec.norm_eps >= 1.0) {
    return data_corrupt(fmt::format("the norm's epsilon is {}, must be from 0 to less than 1", spec.norm_eps));
  }
  for (const LayerSpec& layer : spec.layers) TRY(check_layer(layer));
  if (spec.bos_id) TRY(check_token_id("BOS", *spec.bos_id, spec.vocab));
  for (const int32_t id : spec.eos_ids) TRY(check_token_id("EOS", id, spec.vocab));
  return {};
}

}  // namespace cove
