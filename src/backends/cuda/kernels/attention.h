#pragma once
// Paged causal attention for decoding and for prompt chunks of any size. Pointers are device memory.

#include <cstdint>

#include "backends/cuda/kernels/rows.h"
#include "backends/cuda/plan/attention_plan.h"

namespace cove::cuda {

struct AttentionLaunch {
  const void* qkv = nullptr;  // bf16 [tokens][(heads + 2 kv_heads) * head_dim], q rotated
  int64_t heads = 0;
  LayerCache cache{};
  float scale = 1.0F;
  const SequenceSlice* sequences = nullptr;
  const int32_t* page_table = nullptr;
  const AttentionTile* tiles = nullptr;
  int64_t tile_count = 0;
  int64_t warps = 1;
  int64_t splits = 0;            // AttentionPlan
  float* partials = nullptr;     // attention_partial_bytes() per (tile, key head, split)
  unsigned* counters = nullptr;  // [tile_count * kv_heads], zero before and after
  void* out = nullptr;           // bf16 [tokens][heads * head_dim]
  bool operator==(const AttentionLaunch&) const = default;
};
// head_dim: a multiple of 8 up to kAttentionHeadDimMax.
inline constexpr int64_t kAttentionHeadDimMax = 128;
const char* launch_attention(const AttentionLaunch& args, void* stream);

// The same for sequences that add one token and have at most kDecodeRowsMax heads a key head, over a bf16 or e4m3 cache
// with pages of a multiple of kDecodeStepKeys positions: splits > 0 blocks of split_keys positions each (a multiple of
// kDecodeStepKeys), at least as many as the longest sequence has.
// With `turns`, rope_kv is part of it: q and k of qkv are as the product left them, k and v of each tile's token go to
// its slot, and qkv stays as it is. Neither interleaved nor with norms; decode_rotates(head_dim).
inline constexpr int64_t kDecodeStepKeys = 16;
struct DecodeAttentionLaunch {
  const void* qkv = nullptr;  // bf16 [tokens][(heads + 2 kv_heads) * head_dim]
  int64_t heads = 0;
  LayerCache cache{};
  float scale = 1.0F;
  const float* turns = nullptr;  // null, or TurnsLaunch::out of the step's tokens
  const int32_t* page_table = nullptr;
  const DecodeTile* tiles = nullptr;
  int64_t tile_count = 0;
  int64_t split_keys = 0;
  int64_t splits = 1;
  float* partials = nullptr;     // attention_partial_bytes(kDecodeRowsMax) per (tile, key head, split)
  unsigned* counters = nullptr;  // [tile_count * kv_heads], zero before and after
  void* out = nullptr;           // bf16 [tokens][heads * head_dim]
  bool operator==(const DecodeAttentionLaunch&) const = default;
};
inline bool decode_rotates(int64_t head_dim) { return head_dim == 64 || head_dim == 128; }
const char* launch_decode_attention(const DecodeAttentionLaunch& args, void* stream);

// Of one split of one tile of `rows` (token, head) pairs: values, largest score and sum of weights, f32.
inline int64_t attention_partial_bytes(int64_t rows, int64_t head_dim) { return rows * (head_dim + 2) * 4; }

}  // namespace cove::cuda
