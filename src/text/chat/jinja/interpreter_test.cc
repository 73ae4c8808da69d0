// The interpreter against Python's Jinja2: testdata/python_cases.json holds what Python renders, or that it fails.
#include "text/chat/jinja/interpreter.h"

#include <ctime>

#include <gtest/gtest.h>
#include <boost/json/array.hpp>

#include "base/file.h"
#include "base/testing.h"
#include "text/chat/chat_template.h"

namespace cove::text {
namespace {

int64_t golden_now() {
  std::tm noon{};
  noon.tm_year = 125;
  noon.tm_mon = 6;
  noon.tm_mday = 10;
  noon.tm_hour = 12;
  noon.tm_isdst = -1;
  return std::mktime(&noon);
}

Result<std::string> render(std::string_view source, const json::object& variables = {},
                           const TemplateLimits& limits = {}) {
  TRY_ASSIGN(const auto compiled, ChatTemplate::compile(source, limits));
  return compiled->render(variables, golden_now());
}

std::string error_of(const Result<std::string>& result) {
  return result ? "no error: " + *result : result.error().message;
}

TEST(Jinja, renders_and_fails_as_python_does) {
  const auto path = std::filesystem::path(COVE_SOURCE_DIR) / "src/text/chat/testdata/python_cases.json";
  const Result<std::string> text = read_file(path);
  ASSERT_TRUE(text) << text.error().message;
  const Result<json::value> cases = parse_json(*text);
  ASSERT_TRUE(cases) << cases.error().message;
  for (const json::value& item : cases->as_array()) {
    const json::object& c = item.as_object();
    const std::string source(c.at("template").as_string());
    const Result<std::string> out = render(source, c.at("context").as_object());
    if (const json::value* expected = c.if_contains("expected")) {
      EXPECT_TRUE(out) << source << "\n  " << error_of(out);
      EXPECT_EQ(out ? *out : "", std::string_view(expected->as_string())) << source;
    } else {
      EXPECT_FALSE(out) << source << "\n  gives " << (out ? *out : "") << "\n  but Python says " << c.at("error");
    }
  }
}

}  // namespace
}  // namespace cove::text
