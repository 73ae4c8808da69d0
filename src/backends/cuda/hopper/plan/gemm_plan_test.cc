#include "backends/cuda/hopper/plan/gemm_plan.h"

#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "backends/cuda/hopper/plan/plan_memo.h"

namespace cove::cuda::hopper {
namespace {

constexpr int kMultiprocessors = 132;  // of an H200
constexpr GemmKernel kKernels[] = {GemmKernel::kTilesPair, GemmKernel::kTiles256,   GemmKernel::kTiles128,
                                   GemmKernel::kStream,    GemmKernel::kStreamPair, GemmKernel::kStreamSplit};

int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

void check_plan(const GemmPlan& plan, const GemmShape& shape, int multiprocessors) {
  ASSERT_GT(plan.cycles, 0.0);
  ASSERT_GE(plan.blocks, 1);
  ASSERT_LE(plan.blocks, multiprocessors);
  ASSERT_LE(plan.counters, kCountersMax);
  ASSERT_LE(plan.partial_bytes, kPartialBytesMax);
  const int64_t k_blocks = divide_up(shape.in * shape.element_bytes, kRowBytes);
  if (is_stream(plan.kernel)) {
    ASSERT_GE(plan.token_tile, shape.rows);
    ASSERT_EQ(plan.token_tile % (8 * plan.share), 0);
    ASSERT_EQ(plan.stream.k_blocks, k_blocks);
    ASSERT_GE(plan.stream.tiles * kTileRows * plan.share, shape.weight_rows);
    ASSERT_LE(plan.stream.workers, plan.stream.units());
    ASSERT_EQ(plan.blocks, plan.stream.workers * plan.share);
    ASSERT_GE(plan.cluster_parts, 1);
    ASSERT_LE(plan.cluster_parts, kClusterPartsMax);
    if (plan.kernel == GemmKernel::kStreamSplit) {
      ASSERT_GT(plan.cluster_parts, 1);
      ASSERT_EQ(plan.stream.workers, plan.stream.tiles * plan.cluster_parts);
    } else {
      ASSERT_EQ(plan.cluster_parts, 1);
    }
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
      if (kernel != GemmKernel::kStreamSplit) {
        ASSERT_EQ(plan.has_value(), !is_stream(kernel) || shape.rows <= 128);
      }
      if (plan) check_plan(*plan, shape, multiprocessors);
    }
  }
}

TEST(HopperGemmPlan, few_tokens_stream_the_weights) {
  for (const int64_t tokens : {9, 16, 33, 64}) {
    for (const auto& [weight_rows, in] : {std::pair{3584, 3584}, {37888, 3584}, {3584, 18944}, {152064, 3584}}) {
      const GemmPlan plan = plan_gemm({.rows = tokens, .weight_rows = weight_rows, .in = in}, kMultiprocessors);
      EXPECT_TRUE(is_stream(plan.kernel)) << tokens << " tokens, " << weight_rows << " x " << in;
      EXPECT_GE(plan.blocks, 108);
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
      EXPECT_LT(plan.cycles, 1.6 * ideal) << tokens << " x " << weight_rows << " x " << in;
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

// Every worker's stretch lies in the tile of its cluster, and the parts of a tile cover it.
TEST(HopperGemmPlan, a_clusters_workers_share_one_tile) {
  for (const auto& [weight_rows, in] : {std::pair{3584, 3584}, {4608, 3584}, {3584, 18944}, {2051, 1000}}) {
    const auto plan = plan_gemm_with(GemmKernel::kStreamSplit, {.rows = 64, .weight_rows = weight_rows, .in = in}, 132);
    ASSERT_TRUE(plan.has_value());
    const StreamSchedule& s = plan->stream;
    for (int32_t worker = 0; worker < s.workers; ++worker) {
      EXPECT_EQ(s.begin(worker) / s.k_blocks, worker / plan->cluster_parts);
      EXPECT_EQ((s.begin(worker + 1) - 1) / s.k_blocks, worker / plan->cluster_parts);
    }
  }
  EXPECT_FALSE(plan_gemm_with(GemmKernel::kStreamSplit, {.rows = 64, .weight_rows = 37888, .in = 3584}, 132));
}

// The rows of the H200's table whose choice costs most: docs/kernels/hopper.md.
TEST(HopperGemmPlan, decode_of_128_tokens_shares_x) {
  const auto kernel = [](int64_t weight_rows, int64_t in) {
    return plan_gemm({.rows = 128, .weight_rows = weight_rows, .in = in}, kMultiprocessors).kernel;
  };
  EXPECT_EQ(kernel(37888, 3584), GemmKernel::kStreamPair);
  EXPECT_EQ(kernel(3584, 18944), GemmKernel::kStreamSplit);
}

TEST(HopperGemmPlan, a_memo_says_what_planning_says) {
  PlanMemo memo;
  std::mt19937 random(9);
  std::vector<GemmShape> shapes;
  for (int i = 0; i < 400; ++i) {  // more than it remembers
    shapes.push_back({.rows = 1 + static_cast<int64_t>(random() % 200),
                      .weight_rows = 16 * (1 + static_cast<int64_t>(random() % 300)),
                      .in = 1 + static_cast<int64_t>(random() % 4000),
                      .element_bytes = 1 + i % 2});
  }
  int planned = 0;
  for (int round = 0; round < 2; ++round) {
    for (const GemmShape& shape : shapes) {
      const bool streams_only = shape.in % 2 == 0;
      const auto plan = [&]() -> std::optional<GemmPlan> {
        ++planned;
        if (streams_only) return plan_stream_gemm(shape, kMultiprocessors);
        return plan_gemm(shape, kMultiprocessors);
      };
      const std::optional<GemmPlan> wanted = plan();
      for (int again = 0; again < 3; ++again) {
        const std::optional<GemmPlan>& got = memo.get(shape, kMultiprocessors, streams_only, plan);
        ASSERT_EQ(got.has_value(), wanted.has_value());
        if (!got) continue;
        EXPECT_EQ(got->kernel, wanted->kernel);
        EXPECT_EQ(got->cycles, wanted->cycles);
      }
    }
  }
  EXPECT_LE(planned, 4 * 400) << "asked again at once, it remembers";
}

TEST(HopperGemmPlan, streams_of_one_weight_are_cut_alike_whatever_the_number_of_tokens) {
  const auto few = plan_gemm_with(GemmKernel::kStream, {.rows = 9, .weight_rows = 3584, .in = 3584}, 132);
  const auto many = plan_gemm_with(GemmKernel::kStream, {.rows = 128, .weight_rows = 3584, .in = 3584}, 132);
  EXPECT_EQ(few->stream.workers, many->stream.workers);
  EXPECT_EQ(few->stream.tiles, many->stream.tiles);
}

}  // namespace
}  // namespace cove::cuda::hopper
