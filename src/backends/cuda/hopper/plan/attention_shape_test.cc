#include "backends/cuda/hopper/plan/attention_shape.h"

#include <gtest/gtest.h>

namespace cove::cuda::hopper {
namespace {

TEST(HopperAttentionShape, packs_the_heads_of_a_group_into_128_rows) {
  EXPECT_EQ(query_tile_tokens(28, 4, 128, 16), 18);  // 126 rows
  EXPECT_EQ(query_tile_tokens(12, 2, 128, 16), 21);
  EXPECT_EQ(query_tile_tokens(32, 8, 128, 16), 32);
  EXPECT_EQ(query_tile_tokens(16, 16, 64, 64), 128);
}

TEST(HopperAttentionShape, refuses_what_the_kernel_cannot_do) {
  EXPECT_EQ(query_tile_tokens(28, 4, 96, 16), 0);
  EXPECT_EQ(query_tile_tokens(28, 3, 128, 16), 0);
  EXPECT_EQ(query_tile_tokens(28, 0, 128, 16), 0);
  EXPECT_EQ(query_tile_tokens(28, 4, 128, 4), 0);
  EXPECT_EQ(query_tile_tokens(28, 4, 128, 24), 0);
  EXPECT_EQ(query_tile_tokens(28, 4, 128, 256), 0);
  EXPECT_EQ(query_tile_tokens(129, 1, 128, 16), 0);
}

TEST(HopperAttentionShape, a_query_sees_itself_and_what_came_before) {
  const QueryTile tile{.first_position = 250, .tokens = 18, .group = 7};
  EXPECT_EQ(tile.keys(), 268);
  EXPECT_EQ(tile.key_tiles(), 3);
  EXPECT_EQ(tile.limit(0), 251);
  EXPECT_EQ(tile.limit(6), 251);
  EXPECT_EQ(tile.limit(7), 252);
  EXPECT_EQ(tile.limit(125), 268);
  EXPECT_EQ(tile.limit(127), 268) << "rows behind the last token see no more than it";
}

TEST(HopperAttentionShape, masks_exactly_the_tiles_that_some_row_sees_in_part) {
  for (const int first : {0, 1, 126, 127, 128, 255, 1000}) {
    for (const int tokens : {1, 2, 18, 128}) {
      const QueryTile tile{.first_position = first, .tokens = tokens, .group = 1};
      for (int key_tile = 0; key_tile < tile.key_tiles(); ++key_tile) {
        bool some_hidden = false;
        for (int row = 0; row < tokens; ++row) some_hidden |= tile.limit(row) < (key_tile + 1) * kKeyRows;
        EXPECT_EQ(tile.masks(key_tile), some_hidden) << "first " << first << " tokens " << tokens << " " << key_tile;
      }
    }
  }
}

}  // namespace
}  // namespace cove::cuda::hopper
