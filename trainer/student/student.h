#pragma once
// The model that cove-train trains: the qwen2 architecture with tied embeddings, on LibTorch. All parameters lie in one
// flat buffer, so that the optimizer needs few kernels and a checkpoint is one tensor.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <torch/torch.h>

#include "loop/token_shards.h"
#include "student/direct_step.h"

namespace cove::trainer {

struct StudentConfig {
  int64_t vocab = 7168;
  int64_t hidden = 256;
  int64_t layers = 12;
  int64_t heads = 4;
  int64_t kv_heads = 2;
  int64_t head_dim = 64;
  int64_t ffn = 768;
  int64_t context = 2048;
  double rope_theta = 10000.0;
  double norm_eps = 1e-6;
};

int64_t parameter_count(const StudentConfig& config);

// How the optimizer treats a group of parameters: matrices are orthogonalised (Muon), the rest is AdamW.
enum class GroupKind { kMatrix, kEmbedding, kVector };

// One kind of parameter of all layers, stacked: [layers, out, in], or [1, ...] for those outside the layers.
struct ParameterGroup {
  std::string name;  // "qkv_weight"
  GroupKind kind = GroupKind::kVector;
  std::vector<int64_t> shape;  // of one layer's slice
  int64_t count = 1;           // slices
  int64_t offset = 0;          // in the flat buffer, elements
  // Row ranges of a fused matrix that are orthogonalised on their own ({q, k, v} or {gate, up}).
  std::vector<int64_t> row_splits;

  int64_t slice_elements() const;
  int64_t elements() const { return slice_elements() * count; }
};

// A batch on the device.
struct DeviceBatch {
  torch::Tensor ids;        // [T] i64
  torch::Tensor positions;  // [T] i64
  torch::Tensor starts;     // [documents + 1] i32
  torch::Tensor rows;       // [R] i64
  torch::Tensor targets;    // [R] i64
  int64_t longest = 0;
  std::vector<int64_t> lengths;  // of the documents; they stay on the host
};
DeviceBatch to_device(const TokenBatch& batch, torch::Device device);

// A tensor by its Hugging Face name.
struct NamedTensor {
  std::string name;
  torch::Tensor value;
};

class Student {
 public:
  // dtype: of the computation. bf16 on the CPU goes through DirectStep and is for training only: forward(), loss() and
  // step() then compute in bf16 too, slowly. Parameters are drawn from `seed`.
  Student(const StudentConfig& config, torch::Device device, torch::ScalarType dtype, uint64_t seed);

  const StudentConfig& config() const { return config_; }
  const std::vector<ParameterGroup>& groups() const { return groups_; }
  torch::Tensor flat() const { return flat_; }  // [N] in the compute dtype; the leaves are views of it
  torch::Tensor flat_gradient() const { return flat_gradient_; }  // [N]; f32 with DirectStep

  // Hidden states after the final norm, [T, hidden].
  torch::Tensor forward(const DeviceBatch& batch) const;
  // Mean cross-entropy over the batch's rows, in nats.
  torch::Tensor loss(const DeviceBatch& batch) const;
  // The same, and its gradient goes to flat_gradient(), which holds zeros before.
  torch::Tensor backward(const TokenBatch& batch);

  // Generation: one step for B sequences with a dense cache. See generate.cc.
  struct Cache {
    std::vector<torch::Tensor> k;  // per layer [B, kv_heads, length_max, head_dim]
    std::vector<torch::Tensor> v;
    torch::Tensor lengths;  // [B] i64 tokens held
  };
  Cache make_cache(int64_t sequences, int64_t length_max) const;
  // ids [B, n], right-padded with counts [B] valid ones; returns logits [B, vocab] f32 after each sequence's last valid
  // token.
  torch::Tensor step(Cache& cache, const torch::Tensor& ids, const torch::Tensor& counts) const;

  // The parameters under Hugging Face's names: views of the flat buffer, so that writing to them sets the weights.
  std::vector<NamedTensor> named_views() const;
  // Copies of them in bf16 on the CPU.
  std::vector<NamedTensor> named_tensors() const;

 private:
  struct Layer {
    torch::Tensor attn_norm, qkv_weight, qkv_bias, o_weight, ffn_norm, gate_up_weight, down_weight;
  };
  torch::Tensor make_leaf(const ParameterGroup& group, int64_t slice);
  void initialise(uint64_t seed);
  torch::Tensor attention(const Layer& layer, const torch::Tensor& x, const DeviceBatch& batch,
                          const torch::Tensor& cos, const torch::Tensor& sin) const;
  torch::Tensor feed_forward(const Layer& layer, const torch::Tensor& x) const;
  torch::Tensor cached_attention(const Layer& layer, size_t index, const torch::Tensor& x, Cache& cache,
                                 const torch::Tensor& positions, const torch::Tensor& visible) const;

  StudentConfig config_;
  torch::Device device_;
  torch::ScalarType dtype_;
  std::vector<ParameterGroup> groups_;
  torch::Tensor flat_;
  torch::Tensor flat_gradient_;
  torch::Tensor embed_;
  torch::Tensor final_norm_;
  std::vector<Layer> layers_;
  torch::Tensor cos_;  // [context, head_dim / 2]
  torch::Tensor sin_;
  std::shared_ptr<DirectStep> direct_;  // null but for bf16 on the CPU; shared by copies, as the tensors are
};

}  // namespace cove::trainer
