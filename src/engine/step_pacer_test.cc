#include "engine/step_pacer.h"

#include <gtest/gtest.h>

namespace cove::engine {
namespace {

TEST(StepPacer, learns_how_many_tokens_fit_into_a_step) {
  StepPacer pacer(500, 2048);
  EXPECT_EQ(pacer.prompt_tokens(), 128);
  pacer.record(128, 0.5);  // 256 tokens/s
  EXPECT_EQ(pacer.prompt_tokens(), 128);
  for (int i = 0; i < 50; ++i) pacer.record(pacer.prompt_tokens(), static_cast<double>(pacer.prompt_tokens()) / 1000.0);
  EXPECT_NEAR(static_cast<double>(pacer.prompt_tokens()), 500.0, 5.0);
}

TEST(StepPacer, keeps_within_its_limits) {
  StepPacer slow(500, 2048);
  slow.record(128, 100.0);
  EXPECT_EQ(slow.prompt_tokens(), 32);
  StepPacer fast(500, 2048);
  fast.record(128, 0.0001);
  EXPECT_EQ(fast.prompt_tokens(), 2048);
  StepPacer small(500, 16);
  EXPECT_EQ(small.prompt_tokens(), 16);
}

TEST(StepPacer, decode_steps_teach_it_nothing) {
  StepPacer pacer(500, 2048);
  pacer.record(1, 0.05);
  EXPECT_EQ(pacer.prompt_tokens(), 128);
}

TEST(StepPacer, without_a_target_only_the_batch_limits) { EXPECT_EQ(StepPacer(0, 2048).prompt_tokens(), 2048); }

}  // namespace
}  // namespace cove::engine
