#include "base/result.h"

#include <memory>
#include <string>

#include <gtest/gtest.h>

namespace cove {
namespace {

Result<int> parse_digit(char c) {
  if (c < '0' || c > '9') return invalid_argument(std::string("'") + c + "' is no digit");
  return c - '0';
}

Result<int> sum(char a, char b) {
  TRY_ASSIGN(const int x, parse_digit(a));
  TRY_ASSIGN(const int y, parse_digit(b));
  return x + y;
}

Status check_digit(char c) {
  TRY(parse_digit(c));
  return {};
}

Result<std::unique_ptr<int>> make_owned(char c) {
  TRY_ASSIGN(const int value, parse_digit(c));
  return std::make_unique<int>(value);
}

TEST(Result, try_assign_gives_the_value_or_returns_the_error) {
  EXPECT_EQ(sum('2', '3').value(), 5);
  const auto failed = sum('2', 'x');
  ASSERT_FALSE(failed.has_value());
  EXPECT_EQ(failed.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(failed.error().message, "'x' is no digit");
}

TEST(Result, try_passes_on_only_errors) {
  EXPECT_TRUE(check_digit('7').has_value());
  EXPECT_FALSE(check_digit('z').has_value());
}

TEST(Result, carries_values_that_can_only_be_moved) {
  auto owned = make_owned('4');
  ASSERT_TRUE(owned.has_value());
  EXPECT_EQ(**owned, 4);
}

TEST(Result, context_goes_in_front_of_the_message) {
  EXPECT_EQ(with_context(data_corrupt("header is not JSON"), "model.safetensors").message,
            "model.safetensors: header is not JSON");
  EXPECT_EQ(with_context(data_corrupt("x"), "y").code, ErrorCode::kDataCorrupt);
}

TEST(Result, every_code_has_its_own_name) {
  EXPECT_EQ(to_string(ErrorCode::kInvalidArgument), "invalid_argument");
  EXPECT_EQ(to_string(ErrorCode::kResourceExhausted), "resource_exhausted");
  EXPECT_EQ(to_string(ErrorCode::kIo), "io");
  EXPECT_EQ(to_string(ErrorCode::kInternal), "internal");
}

}  // namespace
}  // namespace cove
