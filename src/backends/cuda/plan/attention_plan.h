#pragma once
// Which blocks compute the attention of a step. Host arithmetic, tested without a GPU.
//
// Keys are taken in splits of kSplitKeys positions, counted from a sequence's begin. A split's result (largest score,
// sum of weights, weighted values) is folded into the sequence's in the order of the splits, by one block or by many:
// the plan chooses only who does the work, never the order of a sum, so a token's result does not depend on the batch
// or on how its prompt was cut.

#include <cstdint>
#include <span>
#include <vector>

#include "backends/cuda/hopper/hopper.h"
#include "compute/step.h"

namespace cove::cuda {

using AttentionTile = hopper::AttentionTile;

inline constexpr int64_t kSplitKeys = 128;
inline constexpr int64_t kTileRows = 64;  // (token, head of the group) pairs of a block at most: four warps of 16
inline constexpr int64_t kGroupMax = kTileRows;  // query heads that share a key head
inline constexpr int64_t kDecodeRowsMax = 16;    // heads of a group that decode_attention.cu takes

struct AttentionShape {
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int multiprocessors = 1;
  int64_t partials_max = 0;    // splits whose results the workspace can hold: of one tile and key head each
  bool decode_kernel = false;  // sequences that add one token go to decode_attention.cu
  int64_t page_tokens = 16;
  int64_t prefill_pages_max = INT64_MAX;  // of all sequences in `prefill` together
};

struct AttentionPlan {
  std::vector<AttentionTile> tiles;
  int64_t warps = 1;  // of a block
  int64_t splits =
      0;  // > 0: one block per split, at least as many as the longest sequence has; 0: a block takes all splits
};

// A sequence that adds one token.
struct alignas(16) DecodeTile {
  int32_t token = 0;  // of the step
  int32_t kv_length = 0;
  int32_t page_begin = 0;
  int32_t slot = 0;  // the token's
};

// Sequences that add one token: a block per split of split_keys positions.
struct DecodePlan {
  std::vector<DecodeTile> tiles;  // slots are left to the caller
  int64_t split_keys = 0;
  int64_t splits = 1;
};

// prefill_tile_tokens: 0, or the tile of a kernel that takes every slice of more than one token whose pages still fit;
// those come back in `prefill`, the ones that see the most positions first.
struct AttentionWork {
  AttentionPlan plan;
  DecodePlan decode;
  std::vector<AttentionTile> prefill;
};
AttentionWork plan_attention(std::span<const SequenceSlice> sequences, const AttentionShape& shape,
                             int64_t prefill_tile_tokens);

}  // namespace cove::cuda
