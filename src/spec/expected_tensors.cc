#include "spec/expected_tensors.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "base/check.h"

namespace cove {
namespace {

struct NameRow {
  std::string_view canonical;
  std::string_view hugging_face;
  std::string_view gguf;
};

constexpr NameRow kModelNames[] = {
    {"embed.weight", "model.embed_tokens.weight", "token_embd.weight"},
    {"final_norm.weight", "model.norm.weight", "output_norm.weight"},
    {"lm_head.weight", "lm_head.weight", "output.weight"},
};

// Without ".weight" or ".bias".
constexpr NameRow kLayerNames[] = {
    {"attn_norm", "input_layernorm", "attn_norm"}, {"q", "self_attn.q_proj", "attn_q"},
    {"k", "self_attn.k_proj", "attn_k"},           {"v", "self_attn.v_proj", "attn_v"},
    {"o", "self_attn.o_proj", "attn_output"},      {"q_norm", "self_attn.q_norm", "attn_q_norm"},
    {"k_norm", "self_attn.k_norm", "attn_k_norm"}, {"ffn_norm", "post_attention_layernorm", "ffn_norm"},
    {"gate", "mlp.gate_proj", "ffn_gate"},         {"up", "mlp.up_proj", "ffn_up"},
    {"down", "mlp.down_proj", "ffn_down"},
};

const NameRow& row_of(std::span<const NameRow> rows, std::string_view canonical) {
  const auto found = std::find_if(rows.begin(), rows.end(), [&](const NameRow& r) { return r.canonical == canonical; });
  COVE_CHECK_MSG(found != rows.end(), canonical);
  return *found;
}

class Expectation {
 public:
  void add(std::string name, Shape shape) { tensors_.push_back({std::move(name), shape}); }
  void linear(const std::string& name, int64_t out_features, int64_t in_features, bool has_bias) {
    add(name + ".weight", {out_features, in_features});
    if (has_bias) add(name + ".bias", {out_features});
  }
  std::vector<ExpectedTensor> take() { return std::move(tensors_); }

 private:
  std::vector<ExpectedTensor> tensors_;
};

void expect_layer(Expectation& expect, const ModelSpec& spec, const LayerSpec& layer, const std::string& prefix) {
  const int64_t q_features = layer.heads * layer.head_dim;
  const int64_t kv_features = layer.kv_heads * layer.head_dim;
  expect.add(prefix + "attn_norm.weight", {spec.hidden});
  expect.linear(prefix + "q", q_features, spec.hidden, layer.qkv_bias);
  expect.linear(prefix + "k", kv_features, spec.hidden, layer.qkv_bias);
  expect.linear(prefix + "v", kv_features, spec.hidden, layer.qkv_bias);
  if (layer.qk_norm) {
    expect.add(prefix + "q_norm.weight", {layer.head_dim});
    expect.add(prefix + "k_norm.weight", {layer.head_dim});
  }
  expect.linear(prefix + "o", spec.hidden, q_features, layer.output_bias);
  expect.add(prefix + "ffn_norm.weight", {spec.hidden});
  expect.linear(prefix + "gate", layer.ffn_dim, spec.hidden, layer.ffn_bias);
  expect.linear(prefix + "up", layer.ffn_dim, spec.hidden, layer.ffn_bias);
  expect.linear(prefix + "down", spec.hidden, layer.ffn_dim, layer.ffn_bias);
}

// Base models saved without their head have no "model." in front.
std::string name_in(const WeightSource& source, Container container, std::string_view canonical) {
  const std::string name = container_name(container, canonical);
  constexpr std::string_view kPrefix = "model.";
  if (source.find(name) != nullptr || !name.starts_with(kPrefix)) return name;
  const std::string bare = name.substr(kPrefix.size());
  return source.find(bare) != nullptr ? bare : name;
}

bool shape_fits(const Shape& found, const Shape& expected) {
  return found == expected || (expected.rank == 1 && found == Shape{1, expected[0]});
}

Status check_tensor(const ExpectedTensor& expected, const TensorInfo* found, const std::string& name) {
  if (found == nullptr) {
    return data_corrupt(
        fmt::format("tensor '{}' of shape {} is missing; the model's files and its configuration do not "
                    "belong together, or the download is incomplete",
                    name, to_string(expected.shape)));
  }
  if (!shape_fits(found->shape, expected.shape)) {
    return data_corrupt(fmt::format("{}: tensor '{}' has shape {}, the configuration asks for {}", found->file, name,
                                    to_string(found->shape), to_string(expected.shape)));
  }
  if (!dtype_info(found->dtype).is_float_like) {
    return make_error(
        ErrorCode::kUnsupported,
        fmt::format("{}: tensor '{}' is of type {}, which Cove cannot compute with; it reads F32, F16, BF16, "
                    "Q8_0 and Q4_0",
                    found->file, name, found->type_name));
  }
  return {};
}

}  // namespace

std::vector<ExpectedTensor> expected_tensors(const ModelSpec& spec) {
  Expectation expect;
  expect.add("embed.weight", {spec.vocab, spec.hidden});
  for (size_t i = 0; i < spec.layers.size(); ++i) {
    expect_layer(expect, spec, spec.layers[i], fmt::format("layers.{}.", i));
  }
  expect.add("final_norm.weight", {spec.hidden});
  if (!spec.tied_embeddings) expect.add("lm_head.weight", {spec.vocab, spec.hidden});
  return expect.take();
}

std::string container_name(Container container, std::string_view canonical_name) {
  constexpr std::string_view kLayers = "layers.";
  const bool is_gguf = container == Container::kGguf;
  if (!canonical_name.starts_with(kLayers)) {
    const NameRow& row = row_of(kModelNames, canonical_name);
    return std::string(is_gguf ? row.gguf : row.hugging_face);
  }
  const std::string_view rest = canonical_name.substr(kLayers.size());  // "3.q.weight"
  const size_t first_dot = rest.find('.');
  const size_t last_dot = rest.rfind('.');
  COVE_CHECK(first_dot != std::string_view::npos && last_dot > first_dot);
  const NameRow& row = row_of(kLayerNames, rest.substr(first_dot + 1, last_dot - first_dot - 1));
  return fmt::format("{}.{}.{}{}", is_gguf ? "blk" : "model.layers", rest.substr(0, first_dot),
                     is_gguf ? row.gguf : row.hugging_face, rest.substr(last_dot));
}

Result<NamesByCanonical> match_tensors(const ModelSpec& spec, const WeightSource& source, Container container) {
  NamesByCanonical names;
  for (const ExpectedTensor& expected : expected_tensors(spec)) {
    const std::string name = name_in(source, container, expected.name);
    TRY(check_tensor(expected, source.find(name), name));
    names.emplace(expected.name, name);
  }
  return names;
}

}  // namespace cove
