#include "base/check.h"

#include <gtest/gtest.h>

namespace cove {
namespace {

TEST(CheckDeathTest, a_failed_check_names_place_and_condition_and_aborts) {
  const int pages_free = -1;
  EXPECT_DEATH(COVE_CHECK(pages_free >= 0), "check_test.cc:[0-9]+: check failed: pages_free >= 0");
  EXPECT_DEATH(COVE_CHECK_MSG(pages_free >= 0, "page 7 freed twice"), "page 7 freed twice");
}

TEST(Check, a_condition_that_holds_costs_nothing_visible) {
  COVE_CHECK(true);
  int evaluated = 0;
  COVE_CHECK(++evaluated == 1);
  EXPECT_EQ(evaluated, 1);
}

}  // namespace
}  // namespace cove
