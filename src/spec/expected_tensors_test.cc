#include "spec/expected_tensors.h"

#include <algorithm>

#include <gtest/gtest.h>

namespace cove {
namespace {

// Names and shapes without bytes.
class NamedTensors final : public WeightSource {
 public:
  NamedTensors(const ModelSpec& spec, Container container) {
    for (const ExpectedTensor& expected : expected_tensors(spec)) {
      tensors_.push_back({.name = container_name(container, expected.name),
                          .dtype = DType::kBF16,
                          .shape = expected.shape,
                          .file = "m.file",
                          .offset = 0,
                          .bytes = 0,
                          .type_name = "BF16"});
    }
  }
  std::span<const TensorInfo> tensors() const override { return tensors_; }
  const TensorInfo* find(std::string_view name) const override {
    const auto found = std::ranges::find(tensors_, name, &TensorInfo::name);
    return found == tensors_.end() ? nullptr : &*found;
  }
  std::span<const std::byte> data(const TensorInfo&) const override { return {}; }
  TensorInfo& at(std::string_view name) { return *std::ranges::find(tensors_, name, &TensorInfo::name); }

 private:
  std::vector<TensorInfo> tensors_;
};

ModelSpec small_spec() {
  ModelSpec spec;
  spec.family = "qwen3";
  spec.hidden = 64;
  spec.vocab = 100;
  spec.layers.assign(2, {.heads = 4,
                         .kv_heads = 2,
                         .head_dim = 32,
                         .qkv_bias = true,
                         .output_bias = false,
                         .qk_norm = true,
                         .ffn_dim = 96,
                         .ffn_bias = false,
                         .rope = {}});
  return spec;
}

std::string message_of(const NamedTensors& source) {
  const auto names = match_tensors(small_spec(), source, Container::kHuggingFace);
  return names ? "accepted" : names.error().message;
}

TEST(ExpectedTensors, names_of_both_containers) {
  EXPECT_EQ(container_name(Container::kHuggingFace, "layers.12.q.bias"), "model.layers.12.self_attn.q_proj.bias");
  EXPECT_EQ(container_name(Container::kHuggingFace, "layers.0.ffn_norm.weight"),
            "model.layers.0.post_attention_layernorm.weight");
  EXPECT_EQ(container_name(Container::kGguf, "layers.12.o.weight"), "blk.12.attn_output.weight");
  EXPECT_EQ(container_name(Container::kGguf, "layers.3.q_norm.weight"), "blk.3.attn_q_norm.weight");
  EXPECT_EQ(container_name(Container::kGguf, "lm_head.weight"), "output.weight");
  EXPECT_EQ(container_name(Container::kHuggingFace, "final_norm.weight"), "model.norm.weight");
}

TEST(ExpectedTensors, a_complete_model_matches) {
  for (const Container container : {Container::kHuggingFace, Container::kGguf}) {
    const NamedTensors source(small_spec(), container);
    const auto names = match_tensors(small_spec(), source, container);
    ASSERT_TRUE(names.has_value()) << names.error().message;
    EXPECT_EQ(names->size(), 3U + 2 * 14);
    EXPECT_EQ(names->at("layers.1.k.weight"), container_name(container, "layers.1.k.weight"));
  }
}

TEST(ExpectedTensors, tied_embeddings_need_no_output_layer) {
  ModelSpec spec = small_spec();
  spec.tied_embeddings = true;
  const NamedTensors source(spec, Container::kHuggingFace);
  EXPECT_TRUE(match_tensors(spec, source, Container::kHuggingFace).has_value());
  EXPECT_NE(message_of(source).find("tensor 'lm_head.weight' of shape [100, 64] is missing"), std::string::npos);
}

TEST(ExpectedTensors, a_wrong_shape_is_named_with_both_shapes) {
  NamedTensors source(small_spec(), Container::kHuggingFace);
  source.at("model.layers.1.self_attn.k_proj.weight").shape = {128, 64};
  EXPECT_EQ(message_of(source),
            "m.file: tensor 'model.layers.1.self_attn.k_proj.weight' has shape [128, 64], the configuration asks for "
            "[64, 64]");
}

TEST(ExpectedTensors, a_type_that_cannot_be_computed_is_named) {
  NamedTensors source(small_spec(), Container::kHuggingFace);
  source.at("model.embed_tokens.weight").dtype = DType::kOpaque;
  source.at("model.embed_tokens.weight").type_name = "Q4_K";
  EXPECT_EQ(
      message_of(source),
      "m.file: tensor 'model.embed_tokens.weight' is of type Q4_K, which Cove cannot compute with; it reads F32, F16, "
      "BF16, Q8_0 and Q4_0");
}

TEST(ExpectedTensors, vectors_may_be_rows_and_base_models_lack_the_prefix) {
  NamedTensors source(small_spec(), Container::kHuggingFace);
  source.at("model.norm.weight").shape = {1, 64};
  source.at("model.embed_tokens.weight").name = "embed_tokens.weight";
  const auto names = match_tensors(small_spec(), source, Container::kHuggingFace);
  ASSERT_TRUE(names.has_value()) << names.error().message;
  EXPECT_EQ(names->at("embed.weight"), "embed_tokens.weight");
}

}  // namespace
}  // namespace cove
