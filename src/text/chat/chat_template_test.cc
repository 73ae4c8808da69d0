// Published chat templates against what Python's Jinja2 renders in transformers' environment.
#include "text/chat/chat_template.h"

#include <ctime>
#include <map>
#include <set>

#include <gtest/gtest.h>
#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>

#include "base/file.h"
#include "base/testing.h"

namespace cove::text {
namespace {

std::filesystem::path data() { return testing::testdata_root() / "chat-templates"; }

json::value load(const std::filesystem::path& path) {
  const Result<std::string> text = read_file(path);
  EXPECT_TRUE(text) << path;
  Result<json::value> value = parse_json(text ? *text : "null");
  EXPECT_TRUE(value) << path;
  return value ? *std::move(value) : json::value();
}

// The goldens' clock: 2025-07-10 12:00 where the test runs.
int64_t golden_now() {
  std::tm noon{};
  noon.tm_year = 125;
  noon.tm_mon = 6;
  noon.tm_mday = 10;
  noon.tm_hour = 12;
  noon.tm_isdst = -1;
  return std::mktime(&noon);
}

std::string text_of(const json::value& value) { return std::string(value.as_string()); }

TEST(ChatTemplate, renders_every_published_template_like_python) {
  const auto path = data() / "pairs" / "deepseek_goldens_dev.json";
  COVE_REQUIRE_TESTDATA(path);
  const json::value goldens = load(path);
  std::map<std::string, std::unique_ptr<ChatTemplate>> templates;
  size_t checked = 0;
  for (const json::value& item : goldens.at("cases").as_array()) {
    const json::object& c = item.as_object();
    const std::string name = text_of(c.at("template"));
    if (!templates.contains(name)) {
      const Result<std::string> source = read_file(data() / "templates" / name);
      ASSERT_TRUE(source) << source.error().message;
      auto compiled = ChatTemplate::compile(*source);
      ASSERT_TRUE(compiled) << name << ": " << compiled.error().message;
      templates[name] = *std::move(compiled);
    }
    const std::string context = text_of(c.at("context"));
    json::object variables = goldens.at("contexts").at(context).as_object();
    variables["bos_token"] = goldens.at("bos_token");
    variables["eos_token"] = goldens.at("eos_token");
    variables["add_generation_prompt"] = c.at("add_generation_prompt");
    if (const json::value* kwargs = c.if_contains("kwargs")) {
      for (const auto& [key, value] : kwargs->as_object()) variables[key] = value;
    }
    const Result<std::string> prompt = templates[name]->render(variables, golden_now());
    if (const json::value* expected = c.if_contains("expected")) {
      ASSERT_TRUE(prompt) << name << " with " << context << ": " << prompt.error().message;
      ASSERT_EQ(*prompt, text_of(*expected)) << name << " with " << context;
    } else {
      ASSERT_FALSE(prompt) << name << " with " << context << " should fail with " << text_of(c.at("error"));
    }
    ++checked;
  }
  EXPECT_EQ(checked, 4816U);
}

// Hugging Face's JavaScript suite expects JavaScript's spelling in some cases; Python's own answer to those is recorded
// in testdata/hf_js_dialect.json (made by testdata/make_cases.py), and Python is what models are trained with.
std::map<std::string, json::value> python_answers() {
  std::map<std::string, json::value> answers;
  const json::value cases = load(std::filesystem::path(COVE_SOURCE_DIR) / "src/text/chat/testdata/hf_js_dialect.json");
  for (const json::value& c : cases.as_array()) answers[text_of(c.at("name"))] = c;
  return answers;
}

void check_hugging_face_case(const json::object& c, const json::object& variables, const json::value* python) {
  const std::string name = text_of(c.at("name"));
  const auto compiled = ChatTemplate::compile(text_of(c.at("template")));
  ASSERT_TRUE(compiled) << name << ": " << compiled.error().message;
  const Result<std::string> out = (*compiled)->render(variables, golden_now());
  const json::object& expected = python != nullptr ? python->as_object() : c;
  if (expected.contains("error")) {
    EXPECT_FALSE(out) << name << " should fail with " << text_of(expected.at("error"));
    return;
  }
  ASSERT_TRUE(out) << name << ": " << out.error().message;
  EXPECT_EQ(*out, text_of(expected.at("expected"))) << name;
}

TEST(ChatTemplate, renders_hugging_face_cases) {
  const auto folder = data() / "pairs";
  COVE_REQUIRE_TESTDATA(folder / "hf_jinja_syntax.json");
  const std::map<std::string, json::value> python = python_answers();
  const auto answer = [&](const json::object& c) {
    const auto found = python.find(text_of(c.at("name")));
    return found == python.end() ? nullptr : &found->second;
  };
  const json::value syntax = load(folder / "hf_jinja_syntax.json");
  for (const json::value& c : syntax.as_array()) {
    check_hugging_face_case(c.as_object(), c.at("context").as_object(), answer(c.as_object()));
  }
  const json::value whole = load(folder / "hf_jinja_e2e.json");
  for (const json::value& c : whole.at("cases").as_array()) {
    check_hugging_face_case(c.as_object(), c.at("data").as_object(), answer(c.as_object()));
  }
}

// vLLM's goldens for V3.2 and V4 come from DeepSeek's Python encoders. The published templates reproduce one of them;
// in the others they need llama.cpp's from_json filter, which Python's Jinja2 (and Cove) refuses, or do not know the
// developer role.
TEST(ChatTemplate, renders_v4_like_deepseeks_encoder) {
  const auto folder = data() / "pairs" / "vllm_deepseek_v4";
  COVE_REQUIRE_TESTDATA(folder);
  const json::object variables = {{"messages", load(folder / "test_input_2.json")},
                                  {"tools", nullptr},
                                  {"thinking", true},
                                  {"bos_token", "<｜begin▁of▁sentence｜>"}};
  for (const char* name : {"deepseek-ai-DeepSeek-V4.jinja", "deepseek-ai-DeepSeek-V4-Flash-0731.jinja"}) {
    const auto compiled = ChatTemplate::compile(*read_file(data() / "templates" / "llama.cpp" / name));
    ASSERT_TRUE(compiled) << compiled.error().message;
    const Result<std::string> prompt = (*compiled)->render(variables, golden_now());
    ASSERT_TRUE(prompt) << prompt.error().message;
    EXPECT_EQ(*prompt, *read_file(folder / "test_output_2.txt")) << name;
  }
}

}  // namespace
}  // namespace cove::text
