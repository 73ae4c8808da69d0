#include "engine/output/stop_matcher.h"

#include <gtest/gtest.h>

namespace cove::engine {
namespace {

struct Case {
  std::vector<std::string> stops;
  std::string text;
  std::string expected;
  std::optional<std::string> matched;
};

const std::vector<Case>& cases() {
  static const std::vector<Case> kCases = {
      {{}, "abc", "abc", std::nullopt},
      {{"END"}, "some text END more", "some text ", "END"},
      {{"END"}, "EN", "EN", std::nullopt},
      {{"aab"}, "aaab", "a", "aab"},
      {{"abab"}, "aababab", "a", "abab"},
      {{"abc", "b"}, "xabc", "xa", "b"},
      {{"b", "ab"}, "xab", "x", "ab"},
      {{"\n\n", "\nUser:"}, "hi\nUser: yes", "hi", "\nUser:"},
      {{"答案"}, "这是答案。", "这是", "答案"},
      {{"答案"}, "这是答", "这是答", std::nullopt},
      {{"x"}, "xxx", "", "x"},
  };
  return kCases;
}

std::string run(const Case& c, const std::vector<std::string>& pieces) {
  StopMatcher matcher(c.stops);
  std::string out;
  for (const std::string& piece : pieces) out += matcher.push(piece);
  out += matcher.finish();
  EXPECT_EQ(matcher.matched(), c.matched) << c.text;
  return out;
}

TEST(StopMatcher, cuts_at_the_match_that_ends_first) {
  for (const Case& c : cases()) EXPECT_EQ(run(c, {c.text}), c.expected) << c.text;
}

TEST(StopMatcher, gives_the_same_however_the_text_is_cut) {
  for (const Case& c : cases()) {
    std::vector<std::string> bytes;
    for (const char byte : c.text) bytes.emplace_back(1, byte);
    EXPECT_EQ(run(c, bytes), c.expected) << c.text;
    for (size_t i = 0; i <= c.text.size(); ++i) {
      for (size_t j = i; j <= c.text.size(); ++j) {
        EXPECT_EQ(run(c, {c.text.substr(0, i), c.text.substr(i, j - i), c.text.substr(j)}), c.expected)
            << c.text << " cut at " << i << " and " << j;
      }
    }
  }
}

TEST(StopMatcher, holds_back_no_more_than_a_possible_beginning) {
  StopMatcher matcher({"stop", "opera"});
  EXPECT_EQ(matcher.push("please st"), "please ");
  EXPECT_EQ(matcher.push("o"), "");
  EXPECT_EQ(matcher.push("r"), "stor");
  EXPECT_EQ(matcher.push("op"), "");
  EXPECT_EQ(matcher.finish(), "op");
}

TEST(StopMatcher, says_nothing_after_a_match) {
  StopMatcher matcher({"."});
  EXPECT_EQ(matcher.push("a.b"), "a");
  EXPECT_EQ(matcher.push("c"), "");
  EXPECT_EQ(matcher.finish(), "");
}

}  // namespace
}  // namespace cove::engine
