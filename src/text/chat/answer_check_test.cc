#include "text/chat/answer_check.h"

#include <gtest/gtest.h>

namespace cove::text {
namespace {

bool right(std::string_view answer, const Check& check) {
  return judge("2+2=4\n</think>\n\n" + std::string(answer), check).correct;
}

TEST(AnswerCheck, only_what_follows_the_reasoning_counts) {
  const Check check{CheckKind::kNumber, {"54"}};
  EXPECT_FALSE(judge("71-17=54", check).closed);
  EXPECT_FALSE(judge("71-17=54", check).correct);
  EXPECT_TRUE(judge("55?\n</think>\n\n还剩54个。", check).correct);
  EXPECT_FALSE(judge("54\n</think>\n\n还剩55个。", check).correct);
}

TEST(AnswerCheck, a_number_is_the_last_one_with_sign_and_fraction) {
  const Check check{CheckKind::kNumber, {"-12.5"}};
  EXPECT_TRUE(right("From 3 it falls to -12.5 degrees.", check));
  EXPECT_FALSE(right("12.5", check));
  EXPECT_FALSE(right("-12.50", check));
  EXPECT_FALSE(right("nothing", check));
}

TEST(AnswerCheck, contains_wants_all_and_any_wants_one) {
  EXPECT_TRUE(right("Lund [2]", {CheckKind::kContains, {"Lund", "[2]"}}));
  EXPECT_FALSE(right("Lund [1]", {CheckKind::kContains, {"Lund", "[2]"}}));
  EXPECT_TRUE(right("I cannot do that.", {CheckKind::kAny, {"cannot", "can't"}}));
  EXPECT_FALSE(right("Sure!", {CheckKind::kAny, {"cannot", "can't"}}));
}

TEST(AnswerCheck, exact_ignores_white_space_at_the_ends_only) {
  const Check check{CheckKind::kExact, {"1, 2, 3"}};
  EXPECT_TRUE(right(" 1, 2, 3\n", check));
  EXPECT_FALSE(right("1,2,3", check));
  EXPECT_FALSE(right("1, 2, 3.", check));
}

TEST(AnswerCheck, a_tool_call_is_compared_with_its_arguments) {
  const Check check{CheckKind::kTool, {"weather", R"({"city":"Oslo"})"}};
  const auto call = [](const std::string& city) {
    return "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>weather\n```json\n{\"city\":\"" + city +
           "\"}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>";
  };
  EXPECT_TRUE(right(call("Oslo"), check));
  EXPECT_FALSE(right(call("Bergen"), check));
}

TEST(AnswerCheck, without_reasoning_the_whole_answer_counts) {
  const Check check{CheckKind::kExact, {"Oslo"}};
  EXPECT_TRUE(judge_without_reasoning("Oslo", check).correct);
  EXPECT_TRUE(judge_without_reasoning("<think>\n\n</think>\n\nOslo", check).correct);
  EXPECT_FALSE(judge_without_reasoning("It is Oslo", check).correct);
}

TEST(AnswerCheck, reads_every_kind_and_refuses_others_by_name) {
  for (const CheckKind kind :
       {CheckKind::kNumber, CheckKind::kContains, CheckKind::kAny, CheckKind::kExact, CheckKind::kTool}) {
    const std::string text = R"({"kind":")" + std::string(check_name(kind)) + R"(","want":["a","b"]})";
    const auto check = check_from_json(*parse_json(text));
    ASSERT_TRUE(check) << check.error().message;
    EXPECT_EQ(check->kind, kind);
    EXPECT_EQ(check->want, (std::vector<std::string>{"a", "b"}));
  }
  const auto refused = [](std::string_view text) { return check_from_json(*parse_json(text)).error().message; };
  EXPECT_NE(refused(R"({"kind":"vibes","want":["a"]})").find("'vibes'"), std::string::npos);
  EXPECT_NE(refused(R"({"kind":"tool","want":["a"]})").find("too few"), std::string::npos);
  EXPECT_NE(refused(R"({"kind":"exact","want":[]})").find("too few"), std::string::npos);
  EXPECT_NE(refused(R"({"kind":"exact","want":[1]})").find("not a string"), std::string::npos);
  EXPECT_NE(refused(R"({"want":["a"]})").find("\"kind\""), std::string::npos);
  EXPECT_NE(refused("3").find("\"kind\""), std::string::npos);
}

}  // namespace
}  // namespace cove::text
