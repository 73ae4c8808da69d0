#include "tasks/steps.h"

#include <regex>

#include <gtest/gtest.h>

namespace cove::trainer {
namespace {

// Checks every "expression=value" of single operations in `steps`, as a reader of the scratchpad would.
void expect_every_equation_holds(const std::string& steps) {
  static const std::regex equation(R"((\d+(?:(?:\+|-|×|÷)\d+)+)=(-?\d+))");
  for (auto it = std::sregex_iterator(steps.begin(), steps.end(), equation); it != std::sregex_iterator(); ++it) {
    const std::string left = (*it)[1];
    static const std::regex part(R"((\+|-|×|÷)?(\d+))");
    int64_t value = 0;
    // Column lines multiply first and then add the carry, so left to right is right.
    for (auto p = std::sregex_iterator(left.begin(), left.end(), part); p != std::sregex_iterator(); ++p) {
      const int64_t number = std::stoll((*p)[2]);
      const std::string sign = (*p)[1];
      if (sign.empty() || sign == "+") value += number;
      if (sign == "-") value -= number;
      if (sign == "×") value *= number;
      if (sign == "÷") value /= number;
    }
    EXPECT_EQ(value, std::stoll((*it)[2])) << it->str() << " in " << steps;
  }
}

TEST(Steps, ends_in_the_sum) {
  EXPECT_EQ(add_steps(23, 48), "23+48=71");
  EXPECT_EQ(add_steps(4827, 395), "4827+395:7+5=12,2+9+1=12,8+3+1=12,4+0+1=5=>5222");
}

TEST(Steps, ends_in_the_difference) {
  EXPECT_EQ(subtract_steps(71, 17), "71-17=54");
  EXPECT_EQ(subtract_steps(4827, 395), "4827-395:7-5=2,12-9=3,8-1-3=4,4-0=4=>4432");
  EXPECT_EQ(subtract_steps(17, 54), "17<54,54-17=37,17-54=-37");
}

TEST(Steps, multiplies_by_parts) {
  EXPECT_EQ(multiply_steps(7, 8), "7×8=56");
  EXPECT_EQ(multiply_steps(23, 4), "23×4:3×4=12,2×4+1=9=>92");
  EXPECT_EQ(multiply_steps(48, 100), "48×100=4800");
  EXPECT_EQ(multiply_steps(0, 812), "0×812=0");
}

TEST(Steps, divides_with_remainder) {
  EXPECT_EQ(divide_steps(4862, 37),
            "4862÷37:48÷37=1,37×1=37,48-37=11;116÷37=3,37×3=111,116-111=5;52÷37=1,37×1=37,52-37=15=>131r15");
  EXPECT_EQ(divide_steps(5, 9), "5÷9=0r5");
  EXPECT_EQ(divide_steps(4800, 100), "4800÷100=48");
}

TEST(Steps, writes_only_true_equations) {
  uint64_t state = 1;
  auto next = [&](int64_t high) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    return static_cast<int64_t>((state >> 33) % static_cast<uint64_t>(high));
  };
  for (int i = 0; i < 3000; ++i) {
    const int64_t a = next(10000), b = next(i % 2 == 0 ? 100 : 10000);
    expect_every_equation_holds(add_steps(a, b));
    expect_every_equation_holds(subtract_steps(a, b));
    expect_every_equation_holds(multiply_steps(a, b));
    if (b > 0) {
      const std::string steps = divide_steps(a, b);
      const std::string quotient = std::to_string(a / b) + (a % b != 0 ? "r" + std::to_string(a % b) : "");
      EXPECT_TRUE(steps.ends_with(quotient)) << steps;
    }
    EXPECT_TRUE(multiply_steps(a, b).ends_with(std::to_string(a * b)));
  }
}

TEST(Steps, writes_decimals_without_trailing_zeros) {
  EXPECT_EQ(decimal(3645, 2), "36.45");
  EXPECT_EQ(decimal(3640, 2), "36.4");
  EXPECT_EQ(decimal(3600, 2), "36");
  EXPECT_EQ(decimal(5, 2), "0.05");
  EXPECT_EQ(decimal(-50, 1), "-5");
}

}  // namespace
}  // namespace cove::trainer
