#pragma once
// A training step of the student computed directly: loss and gradient of a batch on the CPU, with bf16 products on AMX
// tiles and everything else fused in f32. LibTorch's own way there passes over memory some sixty times a layer.
// Called by Student; knows no LibTorch.

#include <cstdint>
#include <memory>

#include "loop/token_shards.h"

namespace cove::trainer {

// As StudentConfig.
struct DirectShape {
  int64_t vocab = 0;
  int64_t hidden = 0;
  int64_t layers = 0;
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t head_dim = 0;
  int64_t ffn = 0;
  int64_t context = 0;
  double rope_theta = 0;
  double norm_eps = 0;
};

// Where each group of parameters begins in the flat buffers, in elements; layers follow each other.
struct DirectOffsets {
  int64_t embed = 0;           // [vocab, hidden]
  int64_t qkv_weight = 0;      // [layers, (heads + 2 kv_heads) head_dim, hidden]
  int64_t o_weight = 0;        // [layers, hidden, heads head_dim]
  int64_t gate_up_weight = 0;  // [layers, 2 ffn, hidden]
  int64_t down_weight = 0;     // [layers, hidden, ffn]
  int64_t qkv_bias = 0;        // [layers, (heads + 2 kv_heads) head_dim]
  int64_t attn_norm = 0;       // [layers, hidden]
  int64_t ffn_norm = 0;        // [layers, hidden]
  int64_t final_norm = 0;      // [hidden]
};

class DirectStep {
 public:
  // True where the processor and the kernel give AMX tiles with bf16.
  static bool available();
  // Null where it is not available.
  static std::shared_ptr<DirectStep> create(const DirectShape& shape, const DirectOffsets& offsets);
  virtual ~DirectStep() = default;

  // weights [N] bf16; gradient [N] f32 is written over. Returns the mean cross-entropy over the batch's rows, in nats.
  virtual float run(const uint16_t* weights, const TokenBatch& batch, float* gradient) = 0;
};

}  // namespace cove::trainer
