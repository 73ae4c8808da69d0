#include "base/yaml.h"

#include <gtest/gtest.h>
#include <boost/json.hpp>

namespace cove {
namespace {

std::string as_json(std::string_view yaml) {
  const auto value = parse_yaml(yaml);
  return value ? json::serialize(*value) : "error: " + value.error().message;
}

TEST(Yaml, scalars_follow_the_core_schema) {
  EXPECT_EQ(
      as_json("{a: 1, b: -2, c: 1.5, d: true, e: no, f: '8080', g: 03:00, h: , i: ~, j: 1.2.3, k: \"\"}"),
      R"({"a":1,"b":-2,"c":1.5E0,"d":true,"e":"no","f":"8080","g":"03:00","h":null,"i":null,"j":"1.2.3","k":""})");
}

TEST(Yaml, keeps_nesting_and_order) {
  EXPECT_EQ(as_json("z:\n  - 1\n  - {x: y}\na: |\n  12\n"), R"({"z":[1,{"x":"y"}],"a":"12\n"})");
}

TEST(Yaml, names_line_and_column_of_mistakes) {
  EXPECT_EQ(as_json("a: 1\nb: [1, 2\nc: 3"), "error: line 3, column 2: end of sequence flow not found");
  EXPECT_EQ(as_json("a: 1\na: 2"), "error: line 2, column 1: the key 'a' is given twice");
}

TEST(Yaml, refuses_deep_nesting_and_alias_bombs) {
  EXPECT_NE(as_json(std::string(200, '[') + std::string(200, ']')).find("nested deeper"), std::string::npos);
  std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 9; ++i) {
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
    for (int k = 0; k < 10; ++k) bomb += (k ? ", *a" : "*a") + std::to_string(i - 1);
    bomb += "]\n";
  }
  EXPECT_NE(as_json(bomb).find("million nodes"), std::string::npos);
}

}  // namespace
}  // namespace cove
