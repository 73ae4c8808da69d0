#include "backends/cuda/hopper/plan/panel_plan.h"

#include <map>
#include <random>
#include <set>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "backends/cuda/hopper/plan/gemm_plan.h"

namespace cove::cuda::hopper {
namespace {

constexpr int kMultiprocessors = 132;  // of an H200

int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Walks every block's units as the kernel does: each block of K of each tile once, parts of a tile numbered from 0
// without gaps, no two parts in one place, one counter a tile.
void check_walk(const PanelPlan& plan, int64_t row_tiles, int64_t token_tiles, int64_t k_blocks) {
  std::vector<int> seen(static_cast<size_t>(row_tiles * token_tiles * k_blocks), 0);
  std::map<int32_t, std::set<int32_t>> parts_of;
  std::map<int32_t, int32_t> wanted;
  std::map<int32_t, std::pair<int32_t, int32_t>> counted;
  std::set<int32_t> slots;
  const int64_t slot_bytes = int64_t{128} * plan.row_tiles * plan.token_tile * 4;
  for (int32_t block = 0; block < plan.blocks; ++block) {
    PanelWalk walk(plan.schedule, block, plan.blocks);
    for (PanelUnit u; walk.next(u);) {
      ASSERT_TRUE(u.row_tile >= 0 && u.row_tile < row_tiles && u.token_tile >= 0 && u.token_tile < token_tiles);
      ASSERT_LT(u.k_begin, u.k_end);
      for (int32_t k = u.k_begin; k < u.k_end; ++k)
        ++seen[static_cast<size_t>((u.row_tile * token_tiles + u.token_tile) * k_blocks + k)];
      if (u.parts == 1) continue;
      ASSERT_LT(u.counter, kCountersMax);
      ASSERT_TRUE(parts_of[u.counter].insert(u.part).second);
      wanted[u.counter] = u.parts;
      const std::pair tile{u.row_tile, u.token_tile};
      ASSERT_EQ(counted.emplace(u.counter, tile).first->second, tile) << "one counter for two tiles";
      const int32_t slot = u.first_slot + u.part * u.slot_step + (u.part == 0 ? u.first_part_shift : 0);
      ASSERT_TRUE(slots.insert(slot).second) << "two parts in one place";
      ASSERT_LE((slot + 1) * slot_bytes, plan.partial_bytes);
    }
  }
  for (const int count : seen) ASSERT_EQ(count, 1);
  for (const auto& [counter, parts] : parts_of) {
    ASSERT_EQ(static_cast<int32_t>(parts.size()), wanted[counter]);
    ASSERT_EQ(*parts.rbegin(), wanted[counter] - 1);
  }
}

void check_plan(const PanelPlan& plan, const PanelGemmShape& shape) {
  ASSERT_GT(plan.cycles, 0.0);
  ASSERT_TRUE(plan.blocks >= 1 && plan.blocks <= kMultiprocessors);
  ASSERT_LE(plan.counters, kCountersMax);
  ASSERT_LE(plan.partial_bytes, kPartialBytesMax);
  ASSERT_TRUE(plan.row_tiles == 1 || plan.row_tiles == 2);
  const int64_t row_tiles = divide_up(shape.weight_rows, int64_t{128} * plan.row_tiles);
  const int64_t token_tiles = divide_up(shape.rows, plan.token_tile);
  const int64_t k_blocks = shape.padded / (shape.bits == 4 ? 128 : 64);
  if (!plan.schedule.in_waves) {
    ASSERT_EQ(token_tiles, 1);
  }
  const int32_t parts = plan.schedule.cluster_parts;
  ASSERT_TRUE(parts >= 1 && parts <= kPanelPartsMax);
  if (parts > 1) {
    ASSERT_EQ(plan.blocks, row_tiles * parts);
  }
  check_walk(plan, row_tiles, token_tiles, k_blocks);
}

TEST(HopperPanelPlan, every_candidate_computes_every_block_of_k_once) {
  std::mt19937 random(11);
  std::uniform_int_distribution<int> bits(0, 10);
  for (int i = 0; i < 300; ++i) {
    const auto any = [&] {
      return 1 + static_cast<int64_t>(random() % (uint64_t{1} << static_cast<unsigned>(bits(random))));
    };
    PanelGemmShape shape{.rows = any(), .weight_rows = 16 * any(), .padded = 128 * (1 + any() % 60)};
    shape.bits = i % 3 == 0 ? 8 : 4;
    shape.group = i % 3 == 1 ? 128 : 32;
    const std::vector<PanelPlan> plans = panel_plans(shape, kMultiprocessors);
    ASSERT_FALSE(plans.empty());
    for (const PanelPlan& plan : plans) check_plan(plan, shape);
  }
}

TEST(HopperPanelPlan, small_products_of_few_tokens_have_a_cluster_for_each_tile) {
  for (const int64_t rows : {9, 32, 64}) {
    const auto plan = plan_panels({.rows = rows, .weight_rows = 3584, .padded = 3584, .group = 128}, kMultiprocessors);
    ASSERT_TRUE(plan);
    EXPECT_GT(plan->schedule.cluster_parts, 1);
    EXPECT_GE(plan->blocks, 90);
  }
}

TEST(HopperPanelPlan, wide_products_use_every_multiprocessor) {
  const auto few = plan_panels({.rows = 32, .weight_rows = 37888, .padded = 3584}, kMultiprocessors);
  const auto many = plan_panels({.rows = 2048, .weight_rows = 37888, .padded = 3584}, kMultiprocessors);
  ASSERT_TRUE(few && many);
  EXPECT_EQ(few->blocks, kMultiprocessors);
  EXPECT_FALSE(few->schedule.in_waves);
  EXPECT_EQ(many->blocks, kMultiprocessors);
  EXPECT_TRUE(many->schedule.in_waves);
}

}  // namespace
}  // namespace cove::cuda::hopper
