#include "engine/memory_plan.h"

#include <gtest/gtest.h>

namespace cove::engine {
namespace {

constexpr uint64_t kGB = 1'000'000'000;

MemoryDemand demand_of(uint64_t total, uint64_t weights) {
  return {.memory_total = total,
          .memory_free = total,
          .memory_fraction = 0.8,
          .weight_bytes = weights,
          .workspace_bytes = kGB / 10,
          .page_bytes = 1'000'000,
          .page_tokens = 16,
          .sequences_max = 256,
          .context_model = 32'768};
}

TEST(MemoryPlan, gives_what_is_left_to_pages) {
  const auto plan = plan_memory(demand_of(10 * kGB, 3 * kGB));
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->pages, 4900);  // 8 - 3 - 0.1 GB
  EXPECT_EQ(plan->context_max, 32'768);
  EXPECT_EQ(plan->kv_bytes, 4'900'000'000U);
}

TEST(MemoryPlan, takes_no_more_pages_than_can_be_used) {
  MemoryDemand demand = demand_of(1000 * kGB, kGB);
  demand.sequences_max = 2;
  const auto plan = plan_memory(demand);
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->pages, 2 * 2048);
}

TEST(MemoryPlan, shortens_the_context_when_none_was_asked_for) {
  const auto plan = plan_memory(demand_of(5 * kGB, 3 * kGB));
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->pages, 900);
  EXPECT_EQ(plan->context_max, 14'400);
}

TEST(MemoryPlan, refuses_a_context_that_was_asked_for_and_does_not_fit) {
  MemoryDemand demand = demand_of(5 * kGB, 3 * kGB);
  demand.context_wanted = 20'000;
  const auto plan = plan_memory(demand);
  ASSERT_FALSE(plan);
  EXPECT_EQ(plan.error().code, ErrorCode::kFailedPrecondition);
  for (const char* part :
       {"4.35 GB", "weights 3 GB", "20000 tokens 1.25 GB", "4 GB may be used", "80 %", "model.context_max"}) {
    EXPECT_NE(plan.error().message.find(part), std::string::npos) << part << " in: " << plan.error().message;
  }
}

TEST(MemoryPlan, refuses_weights_that_do_not_fit) {
  const auto plan = plan_memory(demand_of(3 * kGB, 3 * kGB));
  ASSERT_FALSE(plan);
  EXPECT_EQ(plan.error().code, ErrorCode::kFailedPrecondition);
}

TEST(MemoryPlan, refuses_rather_than_serve_a_useless_context) {
  const auto plan = plan_memory(demand_of(4 * kGB, 3'080'000'000));  // 20 pages
  EXPECT_FALSE(plan);
}

TEST(MemoryPlan, refuses_a_context_longer_than_the_models) {
  MemoryDemand demand = demand_of(100 * kGB, kGB);
  demand.context_wanted = 40'000;
  const auto plan = plan_memory(demand);
  ASSERT_FALSE(plan);
  EXPECT_EQ(plan.error().code, ErrorCode::kInvalidArgument);
}

TEST(MemoryPlan, counts_what_others_use) {
  MemoryDemand demand = demand_of(10 * kGB, 3 * kGB);
  demand.memory_free = 4 * kGB;
  const auto plan = plan_memory(demand);
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->pages, 900);
}

TEST(MemoryPlan, bytes_are_readable) {
  EXPECT_EQ(format_bytes(999), "999 B");
  EXPECT_EQ(format_bytes(1'500'000'000), "1.5 GB");
  EXPECT_EQ(format_bytes(999'900'000), "1 GB");
}

}  // namespace
}  // namespace cove::engine
