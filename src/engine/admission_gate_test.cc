#include "engine/admission_gate.h"

#include <gtest/gtest.h>

namespace cove::engine {
namespace {

TEST(AdmissionGate, refuses_with_the_numbers_when_full) {
  AdmissionGate gate(2);
  EXPECT_TRUE(gate.enter("a"));
  EXPECT_TRUE(gate.enter("a"));
  const Status refused = gate.enter("b");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kResourceExhausted);
  EXPECT_NE(refused.error().message.find("2 requests wait, 0 of them yours, limits.queue_max is 2"), std::string::npos)
      << refused.error().message;
  gate.leave("a");
  EXPECT_TRUE(gate.enter("b"));
  EXPECT_EQ(gate.waiting(), 2);
}

TEST(AdmissionGate, one_tenant_cannot_take_the_last_places) {
  AdmissionGate gate(80);
  int taken = 0;
  while (gate.enter("greedy")) ++taken;
  EXPECT_EQ(taken, 70);
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(gate.enter("modest")) << i;
  EXPECT_FALSE(gate.enter("third"));
}

}  // namespace
}  // namespace cove::engine
