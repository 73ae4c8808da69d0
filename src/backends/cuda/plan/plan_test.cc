// The CUDA backend's plans: where weights lie, which blocks do what, which kernels are taken.
#include <algorithm>
#include <set>

#include <gtest/gtest.h>

#include "backends/cuda/plan/attention_plan.h"
#include "backends/cuda/plan/linear_plan.h"
#include "backends/cuda/plan/weight_layout.h"

namespace cove::cuda {
namespace {

TEST(WeightLayout, pads_rows_to_16_and_inputs_to_128) {
  const WeightLayout layout = plan_weight(WeightFormat::kBF16, {21, 3, 7}, 130, 128);
  EXPECT_EQ(layout.outputs, 31);
  EXPECT_EQ(layout.rows, 32);
  EXPECT_EQ(layout.padded, 256);
  EXPECT_EQ(layout.pitch, 512);
  EXPECT_FALSE(layout.interleaved);
  EXPECT_EQ(layout.group_scale_bytes(), 0);
}

TEST(WeightLayout, four_bit_rows_take_half_a_byte_a_value_and_a_scale_a_group) {
  const WeightLayout q4 = plan_weight(WeightFormat::kQ4, {16}, 256, 32);
  EXPECT_EQ(q4.pitch, 128);
  EXPECT_EQ(q4.group_scale_bytes(), q4.rows * 8 * 2);
  EXPECT_EQ(plan_weight(WeightFormat::kQ4, {16}, 256, 128).group_scale_bytes(), 16 * 2 * 2);
  EXPECT_TRUE(plan_weight(WeightFormat::kE4M3, {16}, 256, 128).has_row_scales());
}

TEST(WeightLayout, two_equal_parts_take_turns_and_no_two_rows_meet) {
  for (const int64_t half : {1, 8, 35}) {
    const WeightLayout layout = plan_weight(WeightFormat::kBF16, {half, half}, 64, 128);
    ASSERT_TRUE(layout.interleaved);
    std::set<int64_t> rows;
    for (int64_t part = 0; part < 2; ++part) {
      for (int64_t row = 0; row < half; ++row) rows.insert(physical_row(true, part, part * half, row));
    }
    EXPECT_EQ(std::ssize(rows), 2 * half);
    EXPECT_LT(*rows.rbegin(), layout.rows);
    EXPECT_EQ(layout.rows % 16, 0);
    // A gate's up is eight rows below.
    for (int64_t row = 0; row < half; ++row) {
      EXPECT_EQ(physical_row(true, 1, half, row), physical_row(true, 0, 0, row) + 8);
    }
  }
}

SequenceSlice slice(int32_t begin, int32_t count, int32_t length) {
  return {.token_begin = begin, .token_count = count, .kv_length = length, .page_begin = 0};
}

TEST(AttentionPlan, every_token_is_in_exactly_one_tile_of_its_sequence) {
  const std::vector<SequenceSlice> slices = {slice(0, 37, 37), slice(37, 1, 900), slice(38, 130, 200)};
  for (const int64_t prefill : {0, 64}) {
    const AttentionWork work = plan_attention(
        slices, {.heads = 28, .kv_heads = 4, .multiprocessors = 132, .partials_max = 100, .decode_kernel = true},
        prefill);
    std::vector<int> seen(168, 0);
    std::vector<AttentionTile> tiles = work.plan.tiles;
    for (const DecodeTile& tile : work.decode.tiles) {
      EXPECT_EQ(tile.kv_length, 900);
      tiles.push_back({.sequence = 1, .first_token = tile.token, .tokens = 1});
    }
    tiles.insert(tiles.end(), work.prefill.begin(), work.prefill.end());
    for (const AttentionTile& tile : tiles) {
      const SequenceSlice& owner = slices[static_cast<size_t>(tile.sequence)];
      EXPECT_GE(tile.first_token, owner.token_begin);
      EXPECT_LE(tile.first_token + tile.tokens, owner.token_begin + owner.token_count);
      for (int32_t i = 0; i < tile.tokens; ++i) ++seen[static_cast<size_t>(tile.first_token + i)];
    }
    EXPECT_TRUE(std::all_of(seen.begin(), seen.end(), [](int count) { return count == 1; }));
    for (const AttentionTile& tile : work.plan.tiles) EXPECT_LE(tile.tokens * 7, kTileRows);
    EXPECT_EQ(work.decode.tiles.size(), 1U);
    EXPECT_EQ(work.plan.tiles.empty(), prefill > 0);
  }
}

TEST(AttentionPlan, tiles_of_long_prompts_come_from_the_longest_to_the_shortest) {
  const std::vector<SequenceSlice> slices = {slice(0, 40, 40), slice(40, 30, 500), slice(70, 64, 64)};
  const AttentionWork work =
      plan_attention(slices, {.heads = 28, .kv_heads = 4, .multiprocessors = 132, .partials_max = 100}, 18);
  int32_t before = 500;
  for (const AttentionTile& tile : work.prefill) {
    const SequenceSlice& owner = slices[static_cast<size_t>(tile.sequence)];
    const int32_t positions = owner.kv_length - owner.token_count + tile.first_token - owner.token_begin + tile.tokens;
    EXPECT_LE(positions, before);
    before = positions;
  }
  EXPECT_EQ(work.prefill.size(), 9U);
  EXPECT_EQ(before, 18);
}

TEST(AttentionPlan, few_long_sequences_are_split_and_many_are_not) {
  const AttentionShape shape = {.heads = 28, .kv_heads = 4, .multiprocessors = 132, .partials_max = 10'000};
  const std::vector<SequenceSlice> one = {slice(0, 1, 5000)};
  const AttentionPlan split = plan_attention(one, shape, 0).plan;
  EXPECT_EQ(split.splits, 64);  // 40 are needed
  EXPECT_EQ(split.warps, 1);    // seven heads share a key head
  std::vector<SequenceSlice> many;
  for (int32_t i = 0; i < 128; ++i) many.push_back(slice(i, 1, 5000));
  EXPECT_EQ(plan_attention(many, shape, 0).plan.splits, 0);
  const std::vector<SequenceSlice> brief = {slice(0, 1, 100)};
  EXPECT_EQ(plan_attention(brief, shape, 0).plan.splits, 0);
}

TEST(AttentionPlan, splits_stay_within_the_workspace) {
  const std::vector<SequenceSlice> one = {slice(0, 1, 5000)};
  EXPECT_EQ(
      plan_attention(one, {.heads = 4, .kv_heads = 4, .multiprocessors = 132, .partials_max = 255}, 0).plan.splits, 0);
  EXPECT_EQ(
      plan_attention(one, {.heads = 4, .kv_heads = 4, .multiprocessors = 132, .partials_max = 256}, 0).plan.splits, 64);
}

TEST(AttentionPlan, a_group_wider_than_a_warp_gets_more_warps) {
  const std::vector<SequenceSlice> one = {slice(0, 1, 10)};
  EXPECT_EQ(plan_attention(one, {.heads = 20, .kv_heads = 1, .multiprocessors = 1}, 0).plan.warps, 2);
  EXPECT_EQ(plan_attention(one, {.heads = 64, .kv_heads = 1, .multiprocessors = 1}, 0).plan.warps, 4);
}

TEST(AttentionPlan, decoding_is_split_until_all_multiprocessors_are_busy) {
  const AttentionShape shape = {
      .heads = 28, .kv_heads = 4, .multiprocessors = 132, .partials_max = 10'000, .decode_kernel = true};
  for (const int64_t sequences : {1, 7, 32, 100, 600}) {
    for (const int32_t keys : {1, 127, 128, 129, 1000, 4097, 100'000}) {
      std::vector<SequenceSlice> slices;
      for (int32_t i = 0; i < sequences; ++i) slices.push_back(slice(i, 1, keys));
      const AttentionWork work = plan_attention(slices, shape, 0);
      EXPECT_TRUE(work.plan.tiles.empty());
      EXPECT_EQ(std::ssize(work.decode.tiles), sequences);
      EXPECT_GE(work.decode.splits * work.decode.split_keys, keys);
      EXPECT_LE(work.decode.splits * sequences * 4, std::max<int64_t>(sequences * 4, 4 * 132));
      EXPECT_EQ(work.decode.split_keys % 16, 0);
    }
  }
}

TEST(AttentionPlan, a_growing_sequence_seldom_changes_the_launch) {
  const AttentionShape shape = {
      .heads = 28, .kv_heads = 4, .multiprocessors = 132, .partials_max = 10'000, .decode_kernel = true};
  std::set<std::pair<int64_t, int64_t>> launches;
  for (int32_t keys = 1; keys <= 8192; ++keys) {
    const DecodePlan plan = plan_attention(std::vector<SequenceSlice>{slice(0, 1, keys)}, shape, 0).decode;
    launches.insert({plan.split_keys, plan.splits});
  }
  EXPECT_LT(launches.size(), 64U);
}

TEST(AttentionPlan, wide_groups_and_prompts_are_left_to_the_other_kernels) {
  const std::vector<SequenceSlice> slices = {slice(0, 1, 10), {.token_begin = 1, .token_count = 5, .kv_length = 5}};
  const AttentionWork wide =
      plan_attention(slices, {.heads = 20, .kv_heads = 1, .multiprocessors = 1, .decode_kernel = true}, 0);
  EXPECT_TRUE(wide.decode.tiles.empty());
  const AttentionWork work =
      plan_attention(slices, {.heads = 16, .kv_heads = 1, .multiprocessors = 1, .decode_kernel = true}, 0);
  EXPECT_EQ(work.decode.tiles.size(), 1U);
  EXPECT_EQ(work.plan.tiles.size(), 2U);
}

TEST(AttentionPlan, prompts_whose_pages_do_not_fit_are_left_to_the_general_kernel) {
  std::vector<SequenceSlice> slices;
  for (int32_t i = 0; i < 4; ++i)
    slices.push_back({.token_begin = 8 * i, .token_count = 8, .kv_length = i == 1 ? 1000 : 33, .page_begin = 0});
  AttentionShape shape = {.heads = 4, .kv_heads = 2, .multiprocessors = 8, .page_tokens = 16, .prefill_pages_max = 7};
  const auto sequences = [](const std::vector<AttentionTile>& tiles) {
    std::set<int32_t> found;
    for (const AttentionTile& tile : tiles) found.insert(tile.sequence);
    return found;
  };
  const AttentionWork some = plan_attention(slices, shape, 64);  // 3, 63, 3 and 3 pages
  EXPECT_EQ(sequences(some.prefill), (std::set<int32_t>{0, 2}));
  EXPECT_EQ(sequences(some.plan.tiles), (std::set<int32_t>{1, 3}));
  shape.prefill_pages_max = 72;
  EXPECT_EQ(sequences(plan_attention(slices, shape, 64).prefill), (std::set<int32_t>{0, 1, 2, 3}));
}

TEST(LinearPlan, one_path_for_every_number_of_tokens_when_reproducible) {
  for (const int64_t tokens : {1, 33, 500, 4096}) {
    EXPECT_EQ(choose_linear({.tokens = tokens, .reproducible = true, .hopper = true}), LinearPath::kSkinny);
  }
}

TEST(LinearPlan, takes_the_fastest_path_there_is) {
  EXPECT_EQ(choose_linear({.tokens = 2, .hopper = true}), LinearPath::kVector);
  EXPECT_EQ(choose_linear({.tokens = 3, .hopper = true}), LinearPath::kHopper);
  EXPECT_EQ(choose_linear({.tokens = 8}), LinearPath::kVector);
  EXPECT_EQ(choose_linear({.format = WeightFormat::kQ4, .tokens = 8, .hopper = true}), LinearPath::kVector);
  EXPECT_EQ(choose_linear({.tokens = 32}), LinearPath::kSkinny);
  EXPECT_EQ(choose_linear({.tokens = 33}), LinearPath::kGemm);
  EXPECT_EQ(choose_linear({.format = WeightFormat::kQ4, .tokens = 16, .hopper = true}), LinearPath::kSkinny);
  EXPECT_EQ(choose_linear({.format = WeightFormat::kQ4, .tokens = 128}), LinearPath::kSkinny);
  EXPECT_EQ(choose_linear({.format = WeightFormat::kQ4, .tokens = 17, .hopper = true}), LinearPath::kUnpackHopper);
  EXPECT_EQ(choose_linear({.format = WeightFormat::kQ8, .tokens = 129}), LinearPath::kUnpackGemm);
  EXPECT_EQ(choose_linear({.format = WeightFormat::kQ4, .tokens = 2, .hopper = true, .panels = true}),
            LinearPath::kVector);
  EXPECT_EQ(choose_linear({.format = WeightFormat::kQ4, .tokens = 3, .hopper = true, .panels = true}),
            LinearPath::kHopperPanels);
  EXPECT_EQ(choose_linear({.format = WeightFormat::kQ8, .tokens = 4096, .hopper = true, .panels = true}),
            LinearPath::kUnpackHopper);
  EXPECT_EQ(choose_linear({.format = WeightFormat::kQ8, .tokens = 500, .reproducible = true, .panels = true}),
            LinearPath::kSkinny);
  EXPECT_EQ(choose_linear({.format = WeightFormat::kE4M3, .tokens = 33, .hopper8 = true}), LinearPath::kHopper8);
}

}  // namespace
}  // namespace cove::cuda
