#include "backends/cuda/hopper/plan/gemm_plan.h"

#include <random>

#include <gtest/gtest.h>

namespace cove::cuda::hopper {
namespace {

constexpr int kMultiprocessors = 132;  // of an H200
constexpr GemmKernel kKernels[] = {GemmKernel::kTilesPair, GemmKernel::kTiles256, GemmKernel::kTiles128,
                                   GemmKernel::kStream};

int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

void check_plan(const GemmPlan& plan, const GemmShape& shape, int multiprocessors) {
  ASSERT_GT(plan.cycles, 0.0);
  ASSERT_GE(plan.blocks, 1);
  ASSERT_LE(plan.blocks, multiprocessors);
  ASSERT_LE(plan.counters, kCountersMax);
  ASSERT_LE(plan.partial_bytes, kPartialBytesMax);
  const int64_t k_blocks = divide_up(shape.in * shape.element_bytes, kRowBytes);
  if (plan.kernel == GemmKernel::kStream) {
    ASSERT_GE(plan.token_tile, shape.rows);
    ASSERT_EQ(plan.stream.k_blocks, k_blocks);
    ASSERT_GE(plan.stream.tiles * kTileRows, shape.weight_rows);
    ASSERT_LE(plan.stream.workers, plan.stream.units());
    ASSERT_EQ(plan.blocks, plan.stream.workers);
    return;
  }
  const int64_t cluster = plan.kernel == GemmKernel::kTilesPair ? 2 : 1;
  const int64_t block_n = plan.kernel == GemmKernel::kTiles128 ? 128 : 256;
  const TileSchedule& s = plan.tiles;
  ASSERT_EQ(plan.blocks % cluster, 0);
  ASSERT_EQ(s.k_blocks, k_blocks);
  ASSERT_EQ(s.tiles_m, divide_up(shape.rows, kTileRows * cluster));
  ASSERT_EQ(s.tiles_n, divide_up(shape.weight_rows, block_n));
  ASSERT_GE(s.split, 1);
  ASSERT_TRUE(s.split == 1 || s.split <= k_blocks);
  ASSERT_TRUE(s.full_tiles >= 0 && s.full_tiles <= s.tiles());
  const int64_t slots = s.split > 1 ? int64_t{s.tiles() - s.full_tiles} * s.split * cluster : 0;
  ASSERT_GE(plan.partial_bytes, slots * kTileRows * block_n * 4);
}

TEST(HopperGemmPlan, every_candidate_of_random_shapes_fits_its_workspace) {
  std::mt19937 random(7);
  std::uniform_int_distribution<int> bits(0, 14);
  for (int i = 0; i < 2000; ++i) {
    const auto draw = [&](int most) {
      return 1 + static_cast<int64_t>(random() % (1U << std::min(bits(random), most)));
    };
    const GemmShape shape{.rows = draw(13), .weight_rows = 16 * draw(14), .in = draw(14), .element_bytes = 1 + i % 2};
    const int multiprocessors = i % 3 == 0 ? 2 + i % 131 : kMultiprocessors;
    for (const GemmKernel kernel : kKernels) {
      const auto plan = plan_gemm_with(kernel, shape, multiprocessors);
      ASSERT_EQ(plan.has_value(), kernel != GemmKernel::kStream || shape.rows <= 128);
      if (plan) check_plan(*plan, shape, multiprocessors);
    }
  }
}

TEST(HopperGemmPlan, few_tokens_stream_the_weights) {
  for (const int64_t tokens : {9, 16, 33, 64}) {
    for (const auto& [weight_rows, in] : {std::pair{3584, 3584}, {37888, 3584}, {3584, 18944}, {152064, 3584}}) {
      const GemmPlan plan = plan_gemm({.rows = tokens, .weight_rows = weight_rows, .in = in}, kMultiprocessors);
      EXPECT_EQ(plan.kernel, GemmKernel::kStream) << tokens << " tokens, " << weight_rows << " x " << in;
      EXPECT_EQ(plan.blocks, kMultiprocessors);
    }
  }
}

TEST(HopperGemmPlan, long_prompts_use_pairs_and_waste_little_of_the_last_wave) {
  for (const int64_t tokens : {2048, 4096, 8192}) {
    for (const auto& [weight_rows, in] : {std::pair{4608, 3584}, {3584, 3584}, {37888, 3584}, {3584, 18944}}) {
      const GemmShape shape{.rows = tokens, .weight_rows = weight_rows, .in = in};
      const GemmPlan plan = plan_gemm(shape, kMultiprocessors);
      EXPECT_EQ(plan.kernel, GemmKernel::kTilesPair);
      const double ideal = static_cast<double>(tokens) * static_cast<double>(weight_rows) * static_cast<double>(in) /
                           (2048.0 * kMultiprocessors);
      EXPECT_LT(plan.cycles, 1.5 * ideal) << tokens << " x " << weight_rows << " x " << in;
    }
  }
}

// 448 tiles on 132 multiprocessors are 3.4 waves: whole tiles would take four.
TEST(HopperGemmPlan, splits_the_last_wave) {
  const GemmPlan plan = plan_gemm({.rows = 4096, .weight_rows = 3584, .in = 18944}, kMultiprocessors);
  EXPECT_GT(plan.tiles.split, 1);
  EXPECT_GT(plan.tiles.full_tiles, 0);
  EXPECT_LT(plan.tiles.full_tiles, plan.tiles.tiles());
}

TEST(HopperGemmPlan, a_stream_takes_at_most_128_tokens) {
  EXPECT_TRUE(plan_gemm_with(GemmKernel::kStream, {.rows = 128, .weight_rows = 256, .in = 64}, 132).has_value());
  EXPECT_FALSE(plan_gemm_with(GemmKernel::kStream, {.rows = 129, .weight_rows = 256, .in = 64}, 132).has_value());
}

TEST(HopperGemmPlan, streams_of_one_weight_are_cut_alike_whatever_the_number_of_tokens) {
  const auto few = plan_gemm_with(GemmKernel::kStream, {.rows = 9, .weight_rows = 3584, .in = 3584}, 132);
  const auto many = plan_gemm_with(GemmKernel::kStream, {.rows = 128, .weight_rows = 3584, .in = 3584}, 132);
  EXPECT_EQ(few->stream.workers, many->stream.workers);
  EXPECT_EQ(few->stream.tiles, many->stream.tiles);
}

}  // namespace
}  // namespace cove::cuda::hopper
