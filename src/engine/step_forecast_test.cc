#include "engine/step_forecast.h"

#include <gtest/gtest.h>

namespace cove::engine {
namespace {

TEST(StepForecast, knows_nothing_at_first_and_of_other_sizes) {
  StepForecast forecast;
  EXPECT_EQ(forecast.planning_s(1), 0);
  forecast.record(1, 0.004);
  EXPECT_DOUBLE_EQ(forecast.planning_s(1), 0.003);
  EXPECT_EQ(forecast.planning_s(2), 0);
  EXPECT_EQ(forecast.planning_s(int64_t{1} << 40), 0);
}

TEST(StepForecast, steps_of_about_as_many_tokens_are_alike) {
  StepForecast forecast;
  forecast.record(1024, 0.02);
  EXPECT_GT(forecast.planning_s(1200), 0);
  EXPECT_EQ(forecast.planning_s(1023), 0);
  EXPECT_EQ(forecast.planning_s(1300), 0);
}

TEST(StepForecast, follows_shorter_steps_at_once_and_longer_ones_slowly) {
  StepForecast forecast;
  forecast.record(8, 0.02);
  forecast.record(8, 0.01);
  EXPECT_DOUBLE_EQ(forecast.planning_s(8), 0.0075);
  forecast.record(8, 0.02);
  EXPECT_LT(forecast.planning_s(8), 0.009);
  for (int i = 0; i < 100; ++i) forecast.record(8, 0.02);
  EXPECT_NEAR(forecast.planning_s(8), 0.015, 1e-4);
}

TEST(StepForecast, short_steps_are_not_waited_in) {
  StepForecast forecast;
  forecast.record(3, 0.0015);
  EXPECT_EQ(forecast.planning_s(3), 0);
}

}  // namespace
}  // namespace cove::engine
