#include "base/json.h"

#include <string>

#include <gtest/gtest.h>

namespace cove {
namespace {

std::string error_of(std::string_view text, const JsonLimits& limits = {}) {
  const auto parsed = parse_json(text, limits);
  return parsed ? "accepted" : parsed.error().message;
}

TEST(Json, parses_one_value_with_white_space_around_it) {
  const auto parsed = parse_json(" {\"a\": [1, 2.5, \"小\"]} \n");
  ASSERT_TRUE(parsed.has_value());
  EXPECT_EQ(parsed->at("a").as_array().size(), 3U);
  EXPECT_EQ(parsed->at("a").as_array()[2].as_string(), "小");
}

TEST(Json, says_line_and_column_of_what_is_wrong) {
  EXPECT_NE(error_of("{\n  \"a\": tru\n}").find("line 2"), std::string::npos);
  EXPECT_NE(error_of("{\"a\": 1} x").find("line 1, column 10"), std::string::npos);
}

TEST(Json, refuses_what_the_standard_does_not_have) {
  for (const std::string_view text :
       {"", "   ", "{", "[1,]", "{\"a\":1,}", "// c\n1", "'a'", "NaN", "01", "\"\\x\"", "\"\xC0\xAF\"", "1 2"}) {
    EXPECT_NE(error_of(text), "accepted") << text;
  }
}

TEST(Json, refuses_deep_nesting_before_it_costs_the_stack) {
  const std::string deep = std::string(100000, '[') + std::string(100000, ']');
  EXPECT_NE(error_of(deep), "accepted");
  EXPECT_EQ(error_of(std::string(10, '[') + std::string(10, ']')), "accepted");
  EXPECT_NE(error_of("[[[1]]]", {.depth_max = 2}), "accepted");
}

TEST(Json, refuses_more_bytes_than_the_limit) {
  EXPECT_NE(error_of("[1, 2, 3]", {.bytes_max = 4}).find("limit of 4"), std::string::npos);
}

TEST(Json, finds_members_of_objects_only) {
  const auto parsed = parse_json("{\"a\": 1}");
  ASSERT_TRUE(parsed.has_value());
  EXPECT_NE(find_member(*parsed, "a"), nullptr);
  EXPECT_EQ(find_member(*parsed, "b"), nullptr);
  EXPECT_EQ(find_member(json::value(3), "a"), nullptr);
}

}  // namespace
}  // namespace cove
