#include "base/utf8.h"

#include <gtest/gtest.h>

namespace cove {
namespace {

TEST(Utf8, finds_the_first_ill_formed_byte) {
  EXPECT_EQ(find_invalid_utf8("小明 has 23 🍎"), std::string_view::npos);
  EXPECT_EQ(find_invalid_utf8("ab\xC0\xAF"), 2U);         // overlong
  EXPECT_EQ(find_invalid_utf8("\xED\xA0\x80"), 0U);       // surrogate
  EXPECT_EQ(find_invalid_utf8("a\xF4\x90\x80\x80"), 1U);  // above U+10FFFF
  EXPECT_EQ(find_invalid_utf8("abc\xE5\xB0"), 3U);        // cut off
}

TEST(Utf8, prefix_holds_back_only_unfinished_characters) {
  const std::string text = "a小🍎";
  EXPECT_EQ(complete_utf8_prefix(text), text.size());
  EXPECT_EQ(complete_utf8_prefix(text.substr(0, 2)), 1U);
  EXPECT_EQ(complete_utf8_prefix(text.substr(0, 3)), 1U);
  EXPECT_EQ(complete_utf8_prefix(text.substr(0, 7)), 4U);
  EXPECT_EQ(complete_utf8_prefix("ab\xFF"), 3U);
  EXPECT_EQ(complete_utf8_prefix("\x80\x80\x80\x80"), 4U);
}

TEST(Utf8, replaces_maximal_ill_formed_parts) {
  EXPECT_EQ(replace_invalid_utf8("a\xE5\xB0"
                                 "b"),
            "a\xEF\xBF\xBD"
            "b");
  EXPECT_EQ(replace_invalid_utf8("\xC0\xAF"), "\xEF\xBF\xBD\xEF\xBF\xBD");
}

TEST(Utf8, code_points_round_trip) {
  for (const char32_t c : {U'a', U'\u00e9', U'小', U'\U0001F34E', U'\U0010FFFF'}) {
    std::string text;
    append_utf8(text, c);
    size_t offset = 0;
    EXPECT_EQ(next_code_point(text, offset), c);
    EXPECT_EQ(offset, text.size());
  }
}

}  // namespace
}  // namespace cove
