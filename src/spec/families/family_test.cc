#include "spec/families/family.h"

#include <cmath>

#include <gtest/gtest.h>
#include <boost/json/object.hpp>

#include "base/file.h"
#include "spec/generation_defaults.h"

namespace cove {
namespace {

json::value published(const std::string& name) {
  const auto path = std::filesystem::path(COVE_SOURCE_DIR) / "src/spec/testdata" / (name + ".config.json");
  return parse_json(read_file(path).value()).value();
}

// A published configuration with one member replaced (or removed, by a null).
Result<ModelSpec> changed(const std::string& name, std::string_view key, std::string_view value) {
  json::value config = published(name);
  config.as_object()[key] = parse_json(value).value();
  return spec_from_config(config);
}

std::string message_of(const std::string& name, std::string_view key, std::string_view value) {
  const auto spec = changed(name, key, value);
  return spec ? "accepted" : spec.error().message;
}

TEST(Family, r1_distill_qwen_is_read_as_published) {
  const ModelSpec spec = spec_from_config(published("r1_distill_qwen_1_5b")).value();
  EXPECT_EQ(spec.family, "qwen2");
  EXPECT_EQ(spec.hidden, 1536);
  EXPECT_EQ(spec.vocab, 151936);
  EXPECT_EQ(spec.context_max, 131072);
  EXPECT_EQ(spec.norm_eps, 1e-6);
  EXPECT_FALSE(spec.tied_embeddings);
  EXPECT_EQ(spec.bos_id, 151643);
  EXPECT_EQ(spec.eos_ids, std::vector<int32_t>{151643});
  ASSERT_EQ(spec.layers.size(), 28U);
  const LayerSpec& layer = spec.layers.back();
  EXPECT_EQ(layer.heads, 12);
  EXPECT_EQ(layer.kv_heads, 2);
  EXPECT_EQ(layer.head_dim, 128);
  EXPECT_EQ(layer.ffn_dim, 8960);
  EXPECT_TRUE(layer.qkv_bias);
  EXPECT_FALSE(layer.output_bias || layer.ffn_bias || layer.qk_norm);
  EXPECT_EQ(layer.rope, RopeSpec{});
}

TEST(Family, published_models_have_their_published_number_of_parameters) {
  const std::pair<const char*, int64_t> kModels[] = {{"r1_distill_qwen_1_5b", 1'777'088'000},
                                                     {"r1_distill_qwen_7b", 7'615'616'512},
                                                     {"r1_distill_llama_8b", 8'030'261'248},
                                                     {"qwen3_8b", 8'190'735'360}};
  for (const auto& [name, parameters] : kModels) {
    const ModelSpec spec = spec_from_config(published(name)).value();
    EXPECT_EQ(total_parameters(spec), parameters) << name;
    EXPECT_EQ(active_parameters(spec), parameters - spec.vocab * spec.hidden) << name;
  }
  EXPECT_EQ(kv_elements_per_token(spec_from_config(published("r1_distill_qwen_7b")).value()), 2 * 28 * 4 * 128);
}

TEST(Family, r1_distill_llama_has_llama3_rope_scaling) {
  const ModelSpec spec = spec_from_config(published("r1_distill_llama_8b")).value();
  const RopeSpec& rope = spec.layers.front().rope;
  EXPECT_EQ(rope.kind, RopeSpec::Kind::kLlama3);
  EXPECT_EQ(rope.theta, 500000.0);
  EXPECT_EQ(rope.factor, 8.0);
  EXPECT_EQ(rope.low_freq_factor, 1.0);
  EXPECT_EQ(rope.high_freq_factor, 4.0);
  EXPECT_EQ(rope.original_context, 8192);
  EXPECT_FALSE(rope.interleaved);
  EXPECT_FALSE(spec.layers.front().qkv_bias);
}

TEST(Family, qwen3_normalises_heads_of_their_own_size) {
  const ModelSpec spec = changed("qwen3_8b", "hidden_size", "2560").value();
  EXPECT_TRUE(spec.layers.front().qk_norm);
  EXPECT_FALSE(spec.layers.front().qkv_bias);
  EXPECT_EQ(spec.layers.front().head_dim, 128);
  EXPECT_EQ(changed("qwen3_8b", "head_dim", "null").value().layers.front().head_dim, 128);
}

TEST(Family, yarn_with_an_attention_multiplier_is_read) {
  const ModelSpec spec = spec_from_config(published("r1_0528_qwen3_8b")).value();
  const RopeSpec& rope = spec.layers.front().rope;
  EXPECT_EQ(rope.kind, RopeSpec::Kind::kYarn);
  EXPECT_EQ(rope.original_context, 32768);
  EXPECT_NEAR(rope.attention_factor, 1.0, 1e-9);
  EXPECT_EQ(spec.context_max, 131072);
}

TEST(Family, both_spellings_of_rope_settings_mean_the_same) {
  const RopeSpec old_style = spec_from_config(published("r1_distill_llama_8b")).value().layers.front().rope;
  json::value config = published("r1_distill_llama_8b");
  json::object parameters = config.at("rope_scaling").as_object();
  parameters["rope_theta"] = config.at("rope_theta");
  config.as_object().erase("rope_scaling");
  config.as_object().erase("rope_theta");
  config.as_object()["rope_parameters"] = parameters;
  EXPECT_EQ(spec_from_config(config).value().layers.front().rope, old_style);
  config.as_object()["rope_parameters"] = json::object{{"full_attention", parameters}};
  EXPECT_EQ(spec_from_config(config).value().layers.front().rope, old_style);
}

TEST(Family, every_rope_scaling_is_computed_or_refused_by_name) {
  const auto rope = [](std::string_view scaling) {
    return changed("r1_distill_qwen_7b", "rope_scaling", scaling).value().layers.front().rope;
  };
  EXPECT_EQ(rope(R"({"type": "linear", "factor": 2})").kind, RopeSpec::Kind::kLinear);
  EXPECT_EQ(rope(R"({"rope_type": "default"})"), RopeSpec{});
  const RopeSpec yarn = rope(R"({"type": "yarn", "factor": 4.0, "mscale": 0.707, "mscale_all_dim": 0.707})");
  EXPECT_EQ(yarn.original_context, 131072);
  EXPECT_EQ(yarn.attention_factor, 1.0);
  EXPECT_EQ(rope(R"({"type": "yarn", "factor": 4.0})").attention_factor, 0.0);
  EXPECT_EQ(message_of("r1_distill_qwen_7b", "rope_scaling", R"({"type": "dynamic", "factor": 2})"),
            "config.json: rope_scaling: rope_type is 'dynamic'; Cove computes default, linear, llama3 and yarn");
  EXPECT_EQ(message_of("r1_distill_qwen_7b", "rope_scaling", R"({"type": "llama3", "factor": 8})"),
            "config.json: rope_scaling: low_freq_factor is missing");
  EXPECT_EQ(message_of("r1_distill_qwen_7b", "rope_scaling", "7"), "config.json: rope_scaling is 7, must be an object");
}

TEST(Family, yarn_stretches_the_context) {
  const auto spec = changed("qwen3_8b", "rope_scaling",
                            R"({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768})");
  EXPECT_EQ(spec.value().context_max, 131072);
}

TEST(Family, biases_of_llama_follow_its_configuration) {
  const ModelSpec attention = changed("r1_distill_llama_8b", "attention_bias", "true").value();
  EXPECT_TRUE(attention.layers.front().qkv_bias && attention.layers.front().output_bias);
  EXPECT_TRUE(changed("r1_distill_llama_8b", "mlp_bias", "true").value().layers.front().ffn_bias);
}

TEST(Family, end_tokens_may_be_one_or_several_or_none) {
  EXPECT_EQ(changed("qwen3_8b", "eos_token_id", "[151645, 151643]").value().eos_ids,
            (std::vector<int32_t>{151645, 151643}));
  EXPECT_TRUE(changed("qwen3_8b", "eos_token_id", "null").value().eos_ids.empty());
  EXPECT_EQ(message_of("qwen3_8b", "eos_token_id", "-1"),
            "config.json: eos_token_id is -1, must be a token id or a list of them");
  EXPECT_EQ(message_of("qwen3_8b", "eos_token_id", "151936"),
            "config.json: the EOS token's id is 151936, but the vocabulary has 151936 entries");
}

TEST(Family, what_cannot_be_computed_is_refused_by_name) {
  EXPECT_EQ(message_of("qwen3_8b", "model_type", R"("mamba2")"),
            "config.json: model_type is 'mamba2', a family that Cove does not run; it runs llama, qwen2, qwen3");
  EXPECT_EQ(message_of("qwen3_8b", "model_type", "null"), "config.json: model_type is missing");
  EXPECT_EQ(message_of("qwen3_8b", "architectures", R"(["Qwen3ForSequenceClassification"])"),
            "config.json: architectures is 'Qwen3ForSequenceClassification'; Cove runs ...ForCausalLM models");
  EXPECT_EQ(message_of("qwen3_8b", "hidden_act", R"("gelu")"), "config.json: hidden_act is 'gelu'; Cove computes silu");
  EXPECT_EQ(message_of("r1_distill_qwen_1_5b", "use_sliding_window", "true"),
            "config.json: use_sliding_window is true; Cove computes full attention only");
  EXPECT_EQ(message_of("r1_distill_qwen_7b", "use_sliding_window", "true"), "accepted");  // no layer slides
  EXPECT_NE(message_of("qwen3_8b", "layer_types", R"(["sliding_attention"])").find("layer_types"), std::string::npos);
  EXPECT_NE(message_of("qwen3_8b", "quantization_config", R"({"quant_method": "awq"})").find("quantised"),
            std::string::npos);
  EXPECT_NE(message_of("qwen3_8b", "partial_rotary_factor", "0.5").find("rotates whole heads"), std::string::npos);
}

TEST(Family, absurd_sizes_are_refused_by_key) {
  EXPECT_EQ(message_of("qwen3_8b", "num_hidden_layers", "0"),
            "config.json: num_hidden_layers is 0, must be an integer from 1 to 2048");
  EXPECT_EQ(message_of("qwen3_8b", "hidden_size", "1e300"),
            "config.json: hidden_size is 1e+300, must be an integer from 1 to 262144");
  EXPECT_EQ(message_of("qwen3_8b", "vocab_size", "18446744073709551615"),
            "config.json: vocab_size is 18446744073709551615, must be an integer from 1 to 16777216");
  EXPECT_EQ(message_of("qwen3_8b", "intermediate_size", "-8"),
            "config.json: intermediate_size is -8, must be an integer from 1 to 4194304");
  EXPECT_EQ(message_of("qwen3_8b", "num_key_value_heads", "5"),
            "config.json: 32 attention heads cannot be shared by 5 key-value heads");
  EXPECT_EQ(message_of("qwen3_8b", "head_dim", "127"), "config.json: the head size is 127, must be even");
  EXPECT_EQ(message_of("r1_distill_qwen_7b", "num_attention_heads", "27"),
            "config.json: hidden_size is 3584, which 27 attention heads do not divide, and there is no head_dim");
  EXPECT_EQ(message_of("qwen3_8b", "rope_theta", "0"),
            "config.json: rope_theta is 0, must be a number from 0.001 to 1000000000000000");
  EXPECT_EQ(message_of("qwen3_8b", "rms_norm_eps", R"("small")"),
            "config.json: rms_norm_eps is \"small\", must be a number from 0 to 0.1");
  EXPECT_EQ(message_of("qwen3_8b", "tie_word_embeddings", "1"),
            "config.json: tie_word_embeddings is 1, must be true or false");
}

TEST(GenerationDefaults, are_read_as_published) {
  const json::value config =
      parse_json(R"({"bos_token_id": 151646, "eos_token_id": [151643, 5], "do_sample": true, "temperature": 0.6,
                     "top_p": 0.95, "top_k": 20, "repetition_penalty": 1.05, "transformers_version": "4.39.3"})")
          .value();
  const GenerationDefaults defaults = parse_generation_config(config).value();
  EXPECT_EQ(defaults.temperature, 0.6);
  EXPECT_EQ(defaults.top_p, 0.95);
  EXPECT_EQ(defaults.top_k, 20);
  EXPECT_EQ(defaults.repetition_penalty, 1.05);
  EXPECT_EQ(defaults.min_p, std::nullopt);
  EXPECT_EQ(defaults.bos_id, 151646);
  EXPECT_EQ(defaults.eos_ids, (std::vector<int32_t>{151643, 5}));
}

TEST(GenerationDefaults, greedy_models_have_temperature_zero) {
  const json::value config = parse_json(R"({"do_sample": false, "temperature": 0.6})").value();
  EXPECT_EQ(parse_generation_config(config).value().temperature, 0.0);
}

TEST(GenerationDefaults, refuses_values_out_of_range_by_key) {
  const auto refused = parse_generation_config(parse_json(R"({"top_p": 1.5})").value());
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().message, "generation_config.json: top_p is 1.5, must be a number from 0 to 1");
  EXPECT_FALSE(parse_generation_config(parse_json("[]").value()).has_value());
}

}  // namespace
}  // namespace cove
