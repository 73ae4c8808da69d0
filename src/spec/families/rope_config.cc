// rope_theta, rope_scaling and rope_parameters of config.json, as transformers' modeling_rope_utils reads them.

#include <cmath>

#include <fmt/format.h>

#include "spec/families/dense_config.h"
#include "spec/validate.h"

namespace cove {
namespace {

constexpr Range<double> kThetaRange = {1e-3, 1e15};
constexpr Range<double> kFactorRange = {1e-3, 1e6};
constexpr Range<int64_t> kContextRange = {1, SpecLimits::kContextMax};

Result<double> required_number(const ConfigReader& scaling, std::string_view key, Range<double> range) {
  TRY_ASSIGN(const std::optional<double> value, scaling.number(key, range));
  if (!value) return scaling.corrupt(key, "is missing");
  return *value;
}

Status read_llama3(const ConfigReader& scaling, RopeSpec& rope) {
  rope.kind = RopeSpec::Kind::kLlama3;
  TRY_ASSIGN(rope.factor, required_number(scaling, "factor", kFactorRange));
  TRY_ASSIGN(rope.low_freq_factor, required_number(scaling, "low_freq_factor", kFactorRange));
  TRY_ASSIGN(rope.high_freq_factor, required_number(scaling, "high_freq_factor", kFactorRange));
  TRY_ASSIGN(rope.original_context, scaling.required_integer("original_max_position_embeddings", kContextRange));
  return {};
}

double yarn_mscale(double factor, double weight) { return factor <= 1.0 ? 1.0 : 0.1 * weight * std::log(factor) + 1.0; }

// attention_factor itself; or attn_factor, which multiplies the derived one (R1-0528-Qwen3-8B; vLLM and llama.cpp apply
// it, transformers does not know it); or DeepSeek's mscale and mscale_all_dim; or none (0: derived from the factor).
Result<double> read_attention_factor(const ConfigReader& scaling, double factor) {
  TRY_ASSIGN(const std::optional<double> given, scaling.number("attention_factor", kFactorRange));
  if (given) return *given;
  TRY_ASSIGN(const std::optional<double> multiplier, scaling.number("attn_factor", kFactorRange));
  if (multiplier) return *multiplier * yarn_mscale(factor, 1.0);
  TRY_ASSIGN(const std::optional<double> mscale, scaling.number("mscale", {0.0, 1e3}));
  TRY_ASSIGN(const std::optional<double> mscale_all_dim, scaling.number("mscale_all_dim", {0.0, 1e3}));
  if (mscale.value_or(0.0) == 0.0 || mscale_all_dim.value_or(0.0) == 0.0) return 0.0;
  return yarn_mscale(factor, *mscale) / yarn_mscale(factor, *mscale_all_dim);
}

Status read_yarn(const ConfigReader& scaling, int64_t context_max, RopeSpec& rope) {
  rope.kind = RopeSpec::Kind::kYarn;
  TRY_ASSIGN(rope.factor, required_number(scaling, "factor", kFactorRange));
  TRY_ASSIGN(const auto original, scaling.integer("original_max_position_embeddings", kContextRange));
  rope.original_context = original.value_or(context_max);
  TRY_ASSIGN(const auto beta_fast, scaling.number("beta_fast", kFactorRange));
  TRY_ASSIGN(const auto beta_slow, scaling.number("beta_slow", kFactorRange));
  rope.beta_fast = beta_fast.value_or(32.0);
  rope.beta_slow = beta_slow.value_or(1.0);
  TRY_ASSIGN(rope.attention_factor, read_attention_factor(scaling, rope.factor));
  TRY_ASSIGN(const auto truncate, scaling.boolean("truncate"));
  if (truncate == false) return scaling.unsupported("truncate", "is false; Cove computes yarn with truncation");
  return {};
}

Result<std::string> rope_type(const ConfigReader& scaling) {
  TRY_ASSIGN(const std::optional<std::string> type, scaling.string("rope_type"));
  if (type) return *type;
  TRY_ASSIGN(const std::optional<std::string> old_name, scaling.string("type"));
  return old_name.value_or("default");
}

Status read_scaling(const ConfigReader& scaling, int64_t context_max, RopeSpec& rope) {
  TRY_ASSIGN(const std::string type, rope_type(scaling));
  if (type == "default") return {};
  if (type == "llama3") return read_llama3(scaling, rope);
  if (type == "yarn") return read_yarn(scaling, context_max, rope);
  if (type == "linear") {
    rope.kind = RopeSpec::Kind::kLinear;
    TRY_ASSIGN(rope.factor, required_number(scaling, "factor", kFactorRange));
    return {};
  }
  return scaling.unsupported(
      "rope_type", fmt::format("is '{}'; Cove computes default, linear, llama3 and yarn", type.substr(0, 60)));
}

Status refuse_partial(const ConfigReader& config) {
  TRY_ASSIGN(const auto fraction, config.number("partial_rotary_factor", {0.0, 1.0}));
  if (!fraction || *fraction == 1.0) return {};
  return config.unsupported("partial_rotary_factor", fmt::format("is {}; Cove rotates whole heads", *fraction));
}

}  // namespace

Result<RopeSpec> read_rope(const ConfigReader& config, double default_theta, int64_t context_max) {
  RopeSpec rope;
  TRY(refuse_partial(config));
  TRY_ASSIGN(const auto theta, config.number("rope_theta", kThetaRange));
  rope.theta = theta.value_or(default_theta);
  TRY_ASSIGN(auto parameters, config.object("rope_parameters"));
  if (parameters) {
    // One set for each type of layer; only one type is computed here.
    TRY_ASSIGN(const auto for_full, parameters->object("full_attention"));
    if (for_full) parameters.emplace(*for_full);
    TRY(refuse_partial(*parameters));
    TRY_ASSIGN(const auto inner_theta, parameters->number("rope_theta", kThetaRange));
    rope.theta = inner_theta.value_or(rope.theta);
    TRY(read_scaling(*parameters, context_max, rope));
    return rope;
  }
  TRY_ASSIGN(const auto scaling, config.object("rope_scaling"));
  if (scaling) TRY(read_scaling(*scaling, context_max, rope));
  return rope;
}

}  // namespace cove
