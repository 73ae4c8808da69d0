// The interpreter against Python's Jinja2: testdata/python_cases.json holds what Python renders, or that it fails.
#include "text/chat/jinja/interpreter.h"

#include <atomic>
#include <ctime>
#include <thread>

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

TEST(Jinja, says_the_line_that_failed) {
  EXPECT_EQ(error_of(render("a\n{{ 1 }}\n{{ 'x' + 1 }}")), "line 3: can only concatenate str (not \"int\") to str");
  EXPECT_EQ(error_of(render("{% if x %}\n\n{{ 1 +")),
            "line 3: unexpected end of template, the tag is not closed with '}}'");
  EXPECT_EQ(error_of(render("{{ messages[0].content + 'x' }}", {{"messages", {json::object{{"role", "user"}}}}})),
            "line 1: 'dict object' has no attribute 'content'");
}

TEST(Jinja, gives_raise_exception_in_the_templates_words) {
  EXPECT_EQ(error_of(render("\n{{ raise_exception('Only user and assistant!') }}")), "Only user and assistant!");
}

TEST(Jinja, refuses_integers_beyond_64_bits) {
  for (const char* source : {"{{ 9223372036854775807 + 1 }}", "{{ 2 ** 63 }}", "{{ -9223372036854775807 - 2 }}",
                             "{{ 4611686018427387904 * 2 }}", "{{ 9223372036854775808 }}",
                             "{{ '9223372036854775808'|int }}", "{{ 1e30|int }}"}) {
    EXPECT_NE(error_of(render(source)).find("64 bits"), std::string::npos) << source << error_of(render(source));
  }
  EXPECT_EQ(*render("{{ 9223372036854775807 }}"), "9223372036854775807");
}

TEST(Jinja, cannot_change_what_it_was_given) {
  const json::object variables = {{"items", json::array{1}}, {"d", json::object{{"a", 1}}}};
  for (const char* source : {"{{ items.append(2) }}", "{{ items.pop() }}", "{{ d.update({'b': 2}) }}",
                             "{{ d.clear() }}", "{% set d.a = 2 %}"}) {
    EXPECT_FALSE(render(source, variables)) << source;
  }
}

TEST(Jinja, bounds_the_steps) {
  const TemplateLimits limits{.steps_max = 10'000};
  const auto error = [&](std::string_view source) { return error_of(render(source, {}, limits)); };
  EXPECT_EQ(error("{% for i in range(1000) %}{% for j in range(1000) %}{% endfor %}{% endfor %}"),
            "line 1: the template did not end within 10000 steps");
  // Doubling a string, or sharing a list in a list, is quick; walking the result is not.
  EXPECT_NE(error("{% set ns = namespace(s='x') %}{% for i in range(60) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}")
                .find("steps"),
            std::string::npos);
  EXPECT_NE(
      error(
          "{% set ns = namespace(s=[]) %}{% for i in range(60) %}{% set ns.s = [ns.s, ns.s] %}{% endfor %}{{ ns.s }}"),
      "no error: ");
  EXPECT_FALSE(
      render("{% set ns = namespace(s=[], t=[]) %}{% for i in range(60) %}{% set ns.s = [ns.s, ns.s] %}"
             "{% set ns.t = [ns.t, ns.t] %}{% endfor %}{{ ns.s == ns.t }}{{ 1 }}",
             {}, limits));
}

TEST(Jinja, bounds_the_output) {
  const TemplateLimits limits{.output_bytes_max = 1000};
  for (const char* source : {
           "{% for i in range(300) %}abcdef{% endfor %}",
           "{{ 'x' * 1001 }}",
           "{{ 'x'.center(100000) }}",
           "{{ '%100000d' % 1 }}",
           "{{ '{:>100000}'.format(1) }}",
           "{% set x %}{% for i in range(300) %}abcdef{% endfor %}{% endset %}",
           "{% macro m() %}{{ caller() }}{% endmacro %}{% call m() %}{% for i in range(300) %}abcdef{% endfor %}{% "
           "endcall %}",
           "{{ ('x' * 500).replace('x', 'yyyyyyyyyyyyyyyyyyyyyyyyyyy') }}",
           "{{ ['x' * 900, 'y' * 900]|tojson }}",
           "{{ ['x' * 900, 'y' * 900]|string|length }}",
       }) {
    EXPECT_FALSE(render(source, {}, limits)) << source;
  }
  EXPECT_EQ(render("{{ 'x' * 1000 }}", {}, limits)->size(), 1000U);
}

TEST(Jinja, bounds_nesting) {
  const auto repeated = [](const std::string& text, int times) {
    std::string out;
    for (int i = 0; i < times; ++i) out += text;
    return out;
  };
  for (const int times : {200, 100'000}) {
    for (const auto& [open, close] : std::vector<std::pair<std::string, std::string>>{{"(", ")"},
                                                                                      {"[", "]"},
                                                                                      {"{1:", "}"},
                                                                                      {"-", ""},
                                                                                      {"not ", ""},
                                                                                      {"x(", ")"},
                                                                                      {"x[", "]"},
                                                                                      {"1 if 1 else ", ""}}) {
      EXPECT_FALSE(render("{{ " + repeated(open, times) + "1" + repeated(close, times) + " }}")) << open;
    }
    EXPECT_FALSE(render("{{ x" + repeated(".a", times) + " }}"));
    EXPECT_FALSE(render("{{ x" + repeated("|e", times) + " }}"));
    EXPECT_FALSE(render(repeated("{% if 1 %}", times) + repeated("{% endif %}", times)));
    EXPECT_FALSE(render("{% set " + repeated("(", times) + "a" + repeated(")", times) + " = 1 %}"));
  }
  EXPECT_EQ(*render("{{ 1" + repeated(" + 1", 10'000) + " }}"), "10001") << "flat chains may be long";
  EXPECT_EQ(*render("{% if 0 %}" + repeated("{% elif 0 %}", 10'000) + "{% else %}x{% endif %}"), "x");
}

TEST(Jinja, bounds_recursion) {
  EXPECT_NE(error_of(render("{% macro m(n) %}{{ m(n + 1) }}{% endmacro %}{{ m(0) }}")).find("deeper than 128"),
            std::string::npos);
  EXPECT_FALSE(render("{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}"));
  // Each level of the macro is itself nested deep: the sum is bounded, too.
  std::string deep = "m(n + 1)";
  for (int i = 0; i < 100; ++i) deep = "[" + deep + "]";
  EXPECT_NE(error_of(render("{% macro m(n) %}{{ " + deep + " }}{% endmacro %}{{ m(0) }}")).find("nested too deep"),
            std::string::npos);
  EXPECT_FALSE(render("{% set ns = namespace(x=[]) %}{% for i in range(1000) %}{% set ns.x = [ns.x] %}{% endfor %}"));
  EXPECT_FALSE(
      render("{% set ns = namespace(x=1) %}{% for i in range(1000) %}{% set ns.x = {'a': ns.x} %}{% endfor %}"));
  EXPECT_TRUE(render("{% set ns = namespace() %}{% set ns.self = ns %}{{ ns }}")) << "a namespace may hold itself";
}

TEST(Jinja, takes_any_bytes) {
  const std::string bad = "a\xff\xc3";
  EXPECT_FALSE(ChatTemplate::compile(bad));
  EXPECT_EQ(*render("{{ x }}|{{ x|length }}|{{ x[1:] }}", {{"x", bad}}), "a\uFFFD\uFFFD|3|\uFFFD\uFFFD");
  EXPECT_EQ(*render("{{ x|length }}", {{"x", std::string("\0\0", 2)}}), "2");
}

TEST(Jinja, refuses_input_nested_too_deep) {
  json::value deep = 1;
  for (int i = 0; i < 1000; ++i) deep = json::array{std::move(deep)};
  EXPECT_FALSE(render("{{ x|tojson }}", {{"x", deep}}));
}

TEST(Jinja, a_compiled_template_renders_from_many_threads) {
  const auto compiled = ChatTemplate::compile("{% for m in messages %}{{ 'r' ~ m.role|upper + 'x' }}{% endfor %}");
  ASSERT_TRUE(compiled);
  const json::object variables = {{"messages", {json::object{{"role", "a"}}, json::object{{"role", "b"}}}}};
  std::vector<std::thread> threads;
  std::atomic<int> right = 0;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 200; ++i) right += *(*compiled)->render(variables, 0) == "rAxrBx" ? 1 : 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right, 800);
}

}  // namespace
}  // namespace cove::text
