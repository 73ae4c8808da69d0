// What needs no socket: JSON text, the JSON test suite as request bodies, the error table and its page.
#include <filesystem>
#include <fstream>
#include <limits>
#include <set>
#include <sstream>

#include <boost/json.hpp>

#include "base/file.h"
#include "base/json_text.h"
#include "base/testing.h"
#include "base/utf8.h"
#include "server/dto/chat_request.h"

namespace cove::server {
namespace {

TEST(JsonText, strings_read_back_as_they_were) {
  std::string text;
  for (int i = 0; i < 256; ++i) {
    if (i < 0x80) text.push_back(static_cast<char>(i));
  }
  text += "小明🍎\u2028\uFFFD";
  std::string out;
  append_json_string(out, text);
  const auto value = parse_json(out);
  ASSERT_TRUE(value) << out;
  EXPECT_EQ(std::string(value->as_string()), text);
}

TEST(JsonText, numbers_are_short_and_never_break_json) {
  const auto number = [](double value) {
    std::string out;
    append_json_number(out, value);
    return out;
  };
  EXPECT_EQ(number(-0.5), "-0.5");
  EXPECT_EQ(number(-std::numeric_limits<double>::infinity()), "-9999");
  EXPECT_EQ(number(std::numeric_limits<double>::quiet_NaN()), "-9999");
  std::string out;
  append_json_number(out, INT64_MIN);
  EXPECT_EQ(out, "-9223372036854775808");
}

// What RFC 8259 accepts is accepted as JSON, what it refuses is refused: the API has no dialect of its own.
TEST(Body, agrees_with_the_json_test_suite) {
  const auto folder = cove::testing::testdata_root() / "json" / "JSONTestSuite" / "test_parsing";
  COVE_REQUIRE_TESTDATA(folder);
  int seen = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    const std::string content = read_file(entry.path()).value();
    const std::string wrapped = "{\"messages\":" + content + "}";
    const auto request = parse_chat_request(wrapped);
    ASSERT_FALSE(request) << name << ": no file of the suite is a list of messages";
    const bool is_json = request.error().kind != ApiErrorKind::kInvalidJson;
    // Some broken texts become valid by the brace that follows or precedes them here; those are checked bare.
    const bool bare_is_json = parse_json(content).has_value() && is_valid_utf8(content);
    if (name.starts_with("y_")) {
      EXPECT_TRUE(is_json) << name;
    }
    if (name.starts_with("n_")) {
      EXPECT_FALSE(bare_is_json) << name;
    }
    ++seen;
  }
  EXPECT_GT(seen, 300);
}

TEST(Body, deep_nesting_is_refused) {
  const auto request =
      parse_chat_request(R"({"messages":)" + std::string(100'000, '[') + std::string(100'000, ']') + "}");
  ASSERT_FALSE(request);
  EXPECT_EQ(request.error().kind, ApiErrorKind::kInvalidJson);
}

TEST(Errors, every_row_is_documented_and_has_its_own_code) {
  const auto page = read_file(std::filesystem::path(COVE_SOURCE_DIR) / "docs" / "api.md");
  ASSERT_TRUE(page) << page.error().message;
  std::set<std::string_view> codes;
  for (const ApiErrorRow row : {
#define COVE_API_ERROR(id, status, type, code, when) ApiErrorRow{status, type, code},
#include "../api/errors.def"
#undef COVE_API_ERROR
       }) {
    EXPECT_TRUE(codes.insert(row.code).second) << row.code;
    std::ostringstream cell;
    cell << "| " << row.status << " | " << row.type << " | " << row.code << " | ";
    EXPECT_NE(page->find(cell.str()), std::string::npos) << cell.str();
  }
}

TEST(Errors, messages_with_odd_bytes_are_still_json) {
  const std::string text = to_json({ApiErrorKind::kInvalidValue, "a \"quoted\" \n name", "x[\"y\"]"});
  const auto value = parse_json(text);
  ASSERT_TRUE(value) << text;
  EXPECT_EQ(std::string(value->at("error").at("message").as_string()), "a \"quoted\" \n name");
}

TEST(Seeds, take_every_64_bit_number) {
  const auto seed = [](const std::string& text) {
    const auto request = parse_chat_request(R"({"messages":[{"role":"user","content":"x"}],"seed":)" + text + "}");
    return request ? request->fields.sampling.seed : std::nullopt;
  };
  EXPECT_EQ(seed("5"), 5U);
  EXPECT_EQ(seed("-1"), UINT64_MAX);
  EXPECT_EQ(seed("18446744073709551615"), UINT64_MAX);
  EXPECT_EQ(seed("null"), std::nullopt);
  EXPECT_EQ(seed("1e300"), std::nullopt) << "refused";
}

}  // namespace
}  // namespace cove::server
