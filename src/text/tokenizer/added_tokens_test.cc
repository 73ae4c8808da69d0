#include "text/tokenizer/added_tokens.h"

#include <gtest/gtest.h>

namespace cove::text {
namespace {

// "[id]" for a token, the text itself between tokens, joined by "|".
std::string cut(const std::vector<AddedToken>& tokens, std::string_view text) {
  const auto matcher = AddedTokenMatcher::create(tokens);
  EXPECT_TRUE(matcher);
  std::string result;
  const auto append = [&](const std::string& part) { result += (result.empty() ? "" : "|") + part; };
  const auto take_text = [&](std::string_view part) {
    append(std::string(part));
    return Status{};
  };
  const auto take_token = [&](int32_t id) { append("[" + std::to_string(id) + "]"); };
  EXPECT_TRUE(matcher->cut(text, take_text, take_token));
  return result;
}

AddedToken token(std::string content, int32_t id) {
  AddedToken made;
  made.content = std::move(content);
  made.id = id;
  return made;
}

TEST(AddedTokens, are_found_wherever_they_stand) {
  EXPECT_EQ(cut({token("<a>", 1), token("<b>", 2)}, "x<a><b> y<a>"), "x|[1]|[2]| y|[1]");
  EXPECT_EQ(cut({token("<a>", 1)}, "<a"), "<a");
  EXPECT_EQ(cut({token("<a>", 1)}, ""), "");
  EXPECT_EQ(cut({}, "text"), "text");
}

TEST(AddedTokens, leftmost_wins_then_longest) {
  const std::vector<AddedToken> tokens = {token("<a", 1), token("<a>b", 2), token("a>", 3)};
  EXPECT_EQ(cut(tokens, "<a>b"), "[2]");
  EXPECT_EQ(cut(tokens, "<a>c"), "[1]|>c");
  EXPECT_EQ(cut(tokens, "xa>"), "x|[3]");
  EXPECT_EQ(cut(tokens, "<<a"), "<|[1]");
}

TEST(AddedTokens, take_white_space_when_they_say_so) {
  AddedToken left = token("<l>", 1);
  left.lstrip = true;
  AddedToken right = token("<r>", 2);
  right.rstrip = true;
  EXPECT_EQ(cut({left, right}, "a \n <l> b"), "a|[1]| b");
  EXPECT_EQ(cut({left, right}, "a <r> \u3000b"), "a |[2]|b");
  EXPECT_EQ(cut({left, right}, "<r> <l>"), "[2]|[1]") << "the same space is not taken twice";
}

TEST(AddedTokens, of_single_words_do_not_match_inside_words) {
  AddedToken word = token("the", 1);
  word.single_word = true;
  EXPECT_EQ(cut({word}, "the then 1the the"), "[1]| then 1the |[1]");
  EXPECT_EQ(cut({word}, "éthe the中"), "éthe the中");
}

TEST(AddedTokens, longer_than_the_limit_are_refused) {
  EXPECT_FALSE(AddedTokenMatcher::create({token(std::string(AddedTokenMatcher::kContentBytesMax + 1, 'x'), 1)}));
}

}  // namespace
}  // namespace cove::text
