#pragma once
// How prefill attention packs queries and cuts keys into tiles. Host arithmetic, shared with the kernel.

#include <cstdint>

#include "backends/cuda/hopper/plan/layout.h"

namespace cove::cuda::hopper {

constexpr int kQueryRows = 128;  // of a tile: two warpgroups of 64
constexpr int kKeyRows = 128;

// The heads that share a key-value head are packed into the rows of one tile, so that keys and values are read once for
// all of them: row = token * group + head in group.
COVE_HOST_DEVICE constexpr int64_t query_tile_tokens(int64_t heads, int64_t kv_heads, int64_t head_dim,
                                                     int64_t page_tokens) {
  if (head_dim != 64 && head_dim != 128) return 0;
  if (kv_heads < 1 || heads % kv_heads != 0) return 0;
  // A page is one copy: whole groups of 8 rows, and a tile of keys is whole pages.
  if (page_tokens < 8 || page_tokens > kKeyRows || kKeyRows % page_tokens != 0) return 0;
  return kQueryRows / (heads / kv_heads);  // 0 for more than kQueryRows heads to a key-value head
}

// Keys that the query at position first + token sees, and which of them a tile of keys needs to mask.
struct QueryTile {
  int32_t first_position = 0;  // of the tile's first token in its sequence
  int32_t tokens = 0;
  int32_t group = 1;

  COVE_HOST_DEVICE constexpr int32_t keys() const { return first_position + tokens; }  // that the last token sees
  COVE_HOST_DEVICE constexpr int32_t key_tiles() const { return (keys() + kKeyRows - 1) / kKeyRows; }
  // How many keys row `row` sees; the rows behind the last token see what it sees, their results are not stored.
  COVE_HOST_DEVICE constexpr int32_t limit(int32_t row) const {
    const int32_t token = row / group;
    return first_position + (token < tokens ? token : tokens - 1) + 1;
  }
  // Whether some row does not see all keys of a tile.
  COVE_HOST_DEVICE constexpr bool masks(int32_t key_tile) const {
    return (key_tile + 1) * kKeyRows > first_position + 1;
  }
};

}  // namespace cove::cuda::hopper
