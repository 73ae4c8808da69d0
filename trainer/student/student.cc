#include "student/student.h"

#include <cmath>

#include "student/torch_compat.h"

namespace cove::trainer {
namespace {

// x [..., heads, dim]: rotates (i, i + dim/2) pairs, as Hugging Face stores qwen2. cos, sin broadcast over heads.
torch::Tensor rotate(const torch::Tensor& x, const torch::Tensor& cos, const torch::Tensor& sin) {
  const auto half = x.chunk(2, -1);
  return torch::cat({half[0] * cos - half[1] * sin, half[1] * cos + half[0] * sin}, -1);
}

// Causal attention of one document with an explicit mask. q [n, heads, dim], k and v [n, kv_heads, dim].
torch::Tensor masked_attention(const torch::Tensor& q, const torch::Tensor& k, const torch::Tensor& v) {
  const int64_t n = q.size(0), kv_heads = k.size(1), repeat = q.size(1) / kv_heads, dim = q.size(2);
  // Query heads that share keys become extra query rows: [kv_heads, repeat * n, dim].
  const torch::Tensor rows = q.transpose(0, 1).reshape({kv_heads, repeat * n, dim});
  const torch::Tensor future =
      torch::ones({n, n}, torch::TensorOptions().dtype(torch::kBool).device(q.device())).triu(1);
  torch::Tensor scores = torch::bmm(rows, k.permute({1, 2, 0})) / std::sqrt(static_cast<double>(dim));
  scores = scores.view({kv_heads, repeat, n, n}).masked_fill(future, -INFINITY);
  const torch::Tensor weights = torch::softmax(scores, -1).view({kv_heads, repeat * n, n});
  return torch::bmm(weights, v.transpose(0, 1)).view({q.size(1), n, dim}).transpose(0, 1);
}

// The rows of `table`. On the CPU their gradients are added up in f32: a frequent token's sum in bf16 would stop
// growing.
torch::Tensor embedded(const torch::Tensor& table, const torch::Tensor& ids) {
  if (table.is_cuda() || table.scalar_type() == torch::kFloat) return torch::embedding(table, ids);
  return torch::embedding(table.to(torch::kFloat), ids).to(table.scalar_type());
}

// Document by document, for the CPU: a mask over the whole batch would cost its square.
torch::Tensor documents_attention(const torch::Tensor& q, const torch::Tensor& k, const torch::Tensor& v,
                                  const DeviceBatch& batch) {
  const auto queries = q.split_with_sizes(batch.lengths), keys = k.split_with_sizes(batch.lengths),
             values = v.split_with_sizes(batch.lengths);
  std::vector<torch::Tensor> mixed;
  for (size_t i = 0; i < queries.size(); ++i) mixed.push_back(masked_attention(queries[i], keys[i], values[i]));
  return torch::cat(mixed);
}

std::vector<ParameterGroup> make_groups(const StudentConfig& c) {
  const int64_t q = c.heads * c.head_dim;
  const int64_t kv = c.kv_heads * c.head_dim;
  std::vector<ParameterGroup> groups = {
      {"embed", GroupKind::kEmbedding, {c.vocab, c.hidden}, 1, 0, {}},
      {"qkv_weight", GroupKind::kMatrix, {q + 2 * kv, c.hidden}, c.layers, 0, {q, kv, kv}},
      {"o_weight", GroupKind::kMatrix, {c.hidden, q}, c.layers, 0, {c.hidden}},
      {"gate_up_weight", GroupKind::kMatrix, {2 * c.ffn, c.hidden}, c.layers, 0, {c.ffn, c.ffn}},
      {"down_weight", GroupKind::kMatrix, {c.hidden, c.ffn}, c.layers, 0, {c.hidden}},
      {"qkv_bias", GroupKind::kVector, {q + 2 * kv}, c.layers, 0, {}},
      {"attn_norm", GroupKind::kVector, {c.hidden}, c.layers, 0, {}},
      {"ffn_norm", GroupKind::kVector, {c.hidden}, c.layers, 0, {}},
      {"final_norm", GroupKind::kVector, {c.hidden}, 1, 0, {}},
  };
  int64_t offset = 0;
  for (ParameterGroup& group : groups) {
    group.offset = offset;
    offset += group.elements();
  }
  return groups;
}

const ParameterGroup& group_named(const std::vector<ParameterGroup>& groups, const std::string& name) {
  for (const ParameterGroup& group : groups) {
    if (group.name == name) return group;
  }
  TORCH_CHECK(false, "no parameter group ", name);
}

std::shared_ptr<DirectStep> make_direct_step(const StudentConfig& c, const std::vector<ParameterGroup>& groups) {
  const auto offset = [&](const char* name) { return group_named(groups, name).offset; };
  return DirectStep::create({.vocab = c.vocab,
                             .hidden = c.hidden,
                             .layers = c.layers,
                             .heads = c.heads,
                             .kv_heads = c.kv_heads,
                             .head_dim = c.head_dim,
                             .ffn = c.ffn,
                             .context = c.context,
                             .rope_theta = c.rope_theta,
                             .norm_eps = c.norm_eps},
                            {.embed = offset("embed"),
                             .qkv_weight = offset("qkv_weight"),
                             .o_weight = offset("o_weight"),
                             .gate_up_weight = offset("gate_up_weight"),
                             .down_weight = offset("down_weight"),
                             .qkv_bias = offset("qkv_bias"),
                             .attn_norm = offset("attn_norm"),
                             .ffn_norm = offset("ffn_norm"),
                             .final_norm = offset("final_norm")});
}

}  // namespace

int64_t ParameterGroup::slice_elements() const {
  int64_t product = 1;
  for (const int64_t dim : shape) product *= dim;
  return product;
}

int64_t parameter_count(const StudentConfig& config) {
  const auto groups = make_groups(config);
  return groups.back().offset + groups.back().elements();
}

DeviceBatch to_device(const TokenBatch& batch, torch::Device device) {
  const auto copy = [&](const auto& values, torch::ScalarType type) {
    return torch::from_blob(const_cast<void*>(static_cast<const void*>(values.data())),
                            {static_cast<int64_t>(values.size())}, torch::TensorOptions().dtype(type))
        .to(device, /*non_blocking=*/false, /*copy=*/true);
  };
  DeviceBatch out;
  out.ids = copy(batch.ids, torch::kInt).to(torch::kLong);
  out.positions = copy(batch.positions, torch::kInt).to(torch::kLong);
  out.starts = copy(batch.starts, torch::kInt);
  out.rows = copy(batch.rows, torch::kLong);
  out.targets = copy(batch.targets, torch::kLong);
  out.longest = batch.longest;
  for (size_t i = 0; i + 1 < batch.starts.size(); ++i) out.lengths.push_back(batch.starts[i + 1] - batch.starts[i]);
  return out;
}

Student::Student(const StudentConfig& config, torch::Device device, torch::ScalarType dtype, uint64_t seed)
    : config_(config), device_(device), dtype_(dtype), groups_(make_groups(config)) {
  const int64_t total = parameter_count(config);
  const auto options = torch::TensorOptions().device(device).dtype(dtype);
  flat_ = torch::zeros({total}, options);
  if (device.is_cpu() && dtype == torch::kBFloat16) direct_ = make_direct_step(config, groups_);
  flat_gradient_ = torch::zeros({total}, direct_ ? options.dtype(torch::kFloat) : options);
  initialise(seed);
  const auto leaf = [&](const char* name, int64_t slice) { return make_leaf(group_named(groups_, name), slice); };
  embed_ = leaf("embed", 0);
  final_norm_ = leaf("final_norm", 0);
  for (int64_t i = 0; i < config.layers; ++i) {
    layers_.push_back({leaf("attn_norm", i), leaf("qkv_weight", i), leaf("qkv_bias", i), leaf("o_weight", i),
                       leaf("ffn_norm", i), leaf("gate_up_weight", i), leaf("down_weight", i)});
  }
  const torch::Tensor inv_freq = torch::pow(
      config.rope_theta, -torch::arange(0, config.head_dim, 2, torch::kDouble) / static_cast<double>(config.head_dim));
  const torch::Tensor angles = torch::arange(config.context, torch::kDouble).unsqueeze(1) * inv_freq.unsqueeze(0);
  cos_ = torch::cos(angles).to(options);
  sin_ = torch::sin(angles).to(options);
}

void Student::initialise(uint64_t seed) {
  // Drawn on the CPU in f32, so that a seed means the same weights on every device.
  torch::Generator generator = torch::make_generator<at::CPUGeneratorImpl>(seed);
  const double residual_scale = 1.0 / std::sqrt(2.0 * static_cast<double>(config_.layers));
  for (const ParameterGroup& group : groups_) {
    torch::Tensor values = torch::zeros({group.elements()}, torch::kFloat);
    if (group.kind != GroupKind::kVector) {
      values.normal_(0.0, 0.02, generator);
      if (group.name == "o_weight" || group.name == "down_weight") values.mul_(residual_scale);
    } else if (group.name != "qkv_bias") {
      values.fill_(1.0);
    }
    flat_.narrow(0, group.offset, group.elements()).copy_(values);
  }
}

// A leaf whose storage and gradient are views of the flat buffers.
torch::Tensor Student::make_leaf(const ParameterGroup& group, int64_t slice) {
  const int64_t size = group.slice_elements();
  const int64_t offset = group.offset + slice * size;
  torch::Tensor leaf = flat_.narrow(0, offset, size).view(group.shape).detach().requires_grad_(true);
  if (!direct_) leaf.mutable_grad() = flat_gradient_.narrow(0, offset, size).view(group.shape);
  return leaf;
}

torch::Tensor Student::attention(const Layer& layer, const torch::Tensor& x, const DeviceBatch& batch,
                                 const torch::Tensor& cos, const torch::Tensor& sin) const {
  const StudentConfig& c = config_;
  const torch::Tensor qkv = torch::nn::functional::linear(x, layer.qkv_weight, layer.qkv_bias)
                                .view({x.size(0), c.heads + 2 * c.kv_heads, c.head_dim});
  const torch::Tensor rotated = rotate(qkv.narrow(1, 0, c.heads + c.kv_heads), cos, sin);
  const torch::Tensor q = rotated.narrow(1, 0, c.heads);
  const torch::Tensor k = rotated.narrow(1, c.heads, c.kv_heads);
  const torch::Tensor v = qkv.narrow(1, c.heads + c.kv_heads, c.kv_heads);
  const bool flash = kHasFlashAttention && x.is_cuda();
  const torch::Tensor mixed =
      flash ? varlen_attention(q.contiguous(), k.contiguous(), v.contiguous(), batch.starts, batch.longest)
            : documents_attention(q, k, v, batch);
  return torch::nn::functional::linear(mixed.reshape({x.size(0), c.heads * c.head_dim}), layer.o_weight);
}

torch::Tensor Student::feed_forward(const Layer& layer, const torch::Tensor& x) const {
  const auto gate_up = torch::nn::functional::linear(x, layer.gate_up_weight).chunk(2, -1);
  return torch::nn::functional::linear(torch::silu(gate_up[0]) * gate_up[1], layer.down_weight);
}

torch::Tensor Student::forward(const DeviceBatch& batch) const {
  const torch::Tensor cos = cos_.index_select(0, batch.positions).unsqueeze(1);
  const torch::Tensor sin = sin_.index_select(0, batch.positions).unsqueeze(1);
  torch::Tensor x = embedded(embed_, batch.ids);
  for (const Layer& layer : layers_) {
    x = x + attention(layer, rms_norm(x, layer.attn_norm, config_.norm_eps), batch, cos, sin);
    x = x + feed_forward(layer, rms_norm(x, layer.ffn_norm, config_.norm_eps));
  }
  return rms_norm(x, final_norm_, config_.norm_eps);
}

torch::Tensor Student::loss(const DeviceBatch& batch) const {
  const torch::Tensor hidden = forward(batch).index_select(0, batch.rows);
  const torch::Tensor logits = torch::nn::functional::linear(hidden, embed_).to(torch::kFloat);
  return torch::nn::functional::cross_entropy(logits, batch.targets);
}

torch::Tensor Student::backward(const TokenBatch& batch) {
  if (direct_) {
    const auto* weights = reinterpret_cast<const uint16_t*>(flat_.data_ptr<at::BFloat16>());
    return torch::tensor(direct_->run(weights, batch, flat_gradient_.data_ptr<float>()), torch::kFloat);
  }
  const torch::Tensor value = loss(to_device(batch, device_));
  value.backward();
  return value.detach();
}

Student::Cache Student::make_cache(int64_t sequences, int64_t length_max) const {
  Cache cache;
  const auto options = torch::TensorOptions().device(device_).dtype(dtype_);
  for (int64_t i = 0; i < config_.layers; ++i) {
    cache.k.push_back(torch::zeros({sequences, config_.kv_heads, length_max, config_.head_dim}, options));
    cache.v.push_back(torch::zeros({sequences, config_.kv_heads, length_max, config_.head_dim}, options));
  }
  cache.lengths = torch::zeros({sequences}, torch::TensorOptions().device(device_).dtype(torch::kLong));
  return cache;
}

torch::Tensor Student::cached_attention(const Layer& layer, size_t index, const torch::Tensor& x, Cache& cache,
                                        const torch::Tensor& positions, const torch::Tensor& visible) const {
  const StudentConfig& c = config_;
  const int64_t sequences = x.size(0);
  const int64_t n = x.size(1);
  const torch::Tensor cos = cos_.index({positions}).unsqueeze(2);
  const torch::Tensor sin = sin_.index({positions}).unsqueeze(2);
  const torch::Tensor qkv = torch::nn::functional::linear(x, layer.qkv_weight, layer.qkv_bias)
                                .view({sequences, n, c.heads + 2 * c.kv_heads, c.head_dim});
  const torch::Tensor q = rotate(qkv.narrow(2, 0, c.heads), cos, sin).transpose(1, 2);  // [B, heads, n, dim]
  const torch::Tensor k = rotate(qkv.narrow(2, c.heads, c.kv_heads), cos, sin).transpose(1, 2);
  const torch::Tensor v = qkv.narrow(2, c.heads + c.kv_heads, c.kv_heads).transpose(1, 2);
  const torch::Tensor where = positions.unsqueeze(1).unsqueeze(3).expand({sequences, c.kv_heads, n, c.head_dim});
  cache.k[index].scatter_(2, where, k);
  cache.v[index].scatter_(2, where, v);
  const int64_t repeat = c.heads / c.kv_heads;
  // Query heads that share keys become extra query rows: [B, kv_heads, repeat * n, dim].
  const torch::Tensor grouped = q.reshape({sequences, c.kv_heads, repeat * n, c.head_dim});
  torch::Tensor scores = torch::matmul(grouped, cache.k[index].transpose(2, 3)).to(torch::kFloat) /
                         std::sqrt(static_cast<double>(c.head_dim));
  scores =
      scores.view({sequences, c.kv_heads, repeat, n, -1}).masked_fill(~visible.unsqueeze(1).unsqueeze(1), -INFINITY);
  const torch::Tensor weights = torch::softmax(scores, -1).to(dtype_).view({sequences, c.kv_heads, repeat * n, -1});
  const torch::Tensor mixed = torch::matmul(weights, cache.v[index]).view({sequences, c.heads, n, c.head_dim});
  return torch::nn::functional::linear(mixed.transpose(1, 2).reshape({sequences, n, c.heads * c.head_dim}),
                                       layer.o_weight);
}

torch::Tensor Student::step(Cache& cache, const torch::Tensor& ids, const torch::Tensor& counts) const {
  const int64_t n = ids.size(1);
  const int64_t length_max = cache.k[0].size(2);
  const torch::Tensor columns = torch::arange(n, cache.lengths.options()).unsqueeze(0);
  // Padding lands on positions past the valid ones: never visible, overwritten by the next step.
  const torch::Tensor positions =
      (cache.lengths.unsqueeze(1) + columns).clamp_max(std::min(length_max, config_.context) - 1);
  const torch::Tensor slots = torch::arange(length_max, cache.lengths.options());
  const torch::Tensor visible = slots.view({1, 1, -1}) <= positions.unsqueeze(2);  // [B, n, length_max]
  torch::Tensor x = torch::embedding(embed_, ids);
  for (size_t i = 0; i < layers_.size(); ++i) {
    const Layer& layer = layers_[i];
    x = x + cached_attention(layer, i, rms_norm(x, layer.attn_norm, config_.norm_eps), cache, positions, visible);
    x = x + feed_forward(layer, rms_norm(x, layer.ffn_norm, config_.norm_eps));
  }
  cache.lengths += counts;
  const torch::Tensor last = (counts - 1).view({-1, 1, 1}).expand({-1, 1, config_.hidden});
  const torch::Tensor hidden = rms_norm(x.gather(1, last).squeeze(1), final_norm_, config_.norm_eps);
  return torch::nn::functional::linear(hidden, embed_).to(torch::kFloat);
}

std::vector<NamedTensor> Student::named_views() const {
  const int64_t q = config_.heads * config_.head_dim;
  const int64_t kv = config_.kv_heads * config_.head_dim;
  std::vector<NamedTensor> tensors = {{"model.embed_tokens.weight", embed_.detach()},
                                      {"model.norm.weight", final_norm_.detach()}};
  for (size_t i = 0; i < layers_.size(); ++i) {
    const Layer& layer = layers_[i];
    const std::string p = "model.layers." + std::to_string(i) + ".";
    const auto add = [&](const char* name, const torch::Tensor& value) {
      tensors.push_back({p + name, value.detach()});
    };
    add("input_layernorm.weight", layer.attn_norm);
    add("self_attn.q_proj.weight", layer.qkv_weight.narrow(0, 0, q));
    add("self_attn.k_proj.weight", layer.qkv_weight.narrow(0, q, kv));
    add("self_attn.v_proj.weight", layer.qkv_weight.narrow(0, q + kv, kv));
    add("self_attn.q_proj.bias", layer.qkv_bias.narrow(0, 0, q));
    add("self_attn.k_proj.bias", layer.qkv_bias.narrow(0, q, kv));
    add("self_attn.v_proj.bias", layer.qkv_bias.narrow(0, q + kv, kv));
    add("self_attn.o_proj.weight", layer.o_weight);
    add("post_attention_layernorm.weight", layer.ffn_norm);
    add("mlp.gate_proj.weight", layer.gate_up_weight.narrow(0, 0, config_.ffn));
    add("mlp.up_proj.weight", layer.gate_up_weight.narrow(0, config_.ffn, config_.ffn));
    add("mlp.down_proj.weight", layer.down_weight);
  }
  return tensors;
}

std::vector<NamedTensor> Student::named_tensors() const {
  std::vector<NamedTensor> tensors = named_views();
  for (NamedTensor& tensor : tensors)
    tensor.value = tensor.value.to(torch::kCPU, torch::kBFloat16).contiguous().clone();
  return tensors;
}

}  // namespace cove::trainer
