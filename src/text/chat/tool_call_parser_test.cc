// Tool calls of the DeepSeek and Hermes formats, against vLLM's cases, whole and cut at every place.
#include "text/chat/tool_call_parser.h"

#include <gtest/gtest.h>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "base/file.h"
#include "base/json.h"
#include "base/testing.h"
#include "text/chat/output_parser.h"

namespace cove::text {
namespace {

struct Parsed {
  std::string content;
  std::vector<std::pair<std::string, std::string>> calls;
  bool operator==(const Parsed&) const = default;
};

std::ostream& operator<<(std::ostream& out, const Parsed& p) {
  out << "content '" << p.content << "'";
  for (const auto& [name, arguments] : p.calls) out << " " << name << "(" << arguments << ")";
  return out;
}

void add(Parsed& out, const std::vector<ToolDelta>& deltas) {
  for (const ToolDelta& delta : deltas) {
    EXPECT_NE(delta.content.empty(), delta.calls.empty()) << "a delta is either text or calls";
    out.content += delta.content;
    for (const ToolCall& call : delta.calls) {
      EXPECT_EQ(call.index, static_cast<int>(out.calls.size()));
      out.calls.emplace_back(call.name, call.arguments);
    }
  }
}

Parsed parse(ToolCallFormat format, const std::vector<std::string>& pieces) {
  ToolCallParser parser(format);
  Parsed out;
  for (const std::string& piece : pieces) add(out, parser.push(piece));
  add(out, parser.finish());
  return out;
}

Parsed parse_every_way(ToolCallFormat format, const std::string& text) {
  const Parsed whole = parse(format, {text});
  for (size_t cut = 0; cut <= text.size(); ++cut) {
    EXPECT_EQ(parse(format, {text.substr(0, cut), text.substr(cut)}), whole) << "'" << text << "' cut at " << cut;
  }
  std::vector<std::string> bytes;
  for (const char c : text) bytes.emplace_back(1, c);
  EXPECT_EQ(parse(format, bytes), whole) << "'" << text << "' byte by byte";
  return whole;
}

TEST(ToolCallParser, agrees_with_vllm_on_deepseek_formats) {
  const auto path = testing::testdata_root() / "reasoning-parser" / "vllm_deepseek_tool_calls.json";
  COVE_REQUIRE_TESTDATA(path);
  const Result<std::string> text = read_file(path);
  ASSERT_TRUE(text);
  const Result<json::value> data = parse_json(*text);
  ASSERT_TRUE(data);
  for (const json::value& c : data->at("cases").as_array()) {
    const std::string id(c.at("id").as_string());
    const std::string input(c.at("input").as_string());
    for (const ToolCallFormat format : {ToolCallFormat::kDeepSeek, ToolCallFormat::kAny}) {
      const Parsed got = parse_every_way(format, input);
      if (!c.at("expect").is_object()) {  // malformed: nothing is lost, nothing is presented as a call
        EXPECT_EQ(got, (Parsed{input, {}})) << id;
        continue;
      }
      const json::value& content = c.at("expect").at("content");
      EXPECT_EQ(got.content, content.is_null() ? "" : std::string(content.as_string())) << id;
      const json::array& calls = c.at("expect").at("tool_calls").as_array();
      ASSERT_EQ(got.calls.size(), calls.size()) << id;
      for (size_t i = 0; i < calls.size(); ++i) {
        EXPECT_EQ(got.calls[i].first, std::string_view(calls[i].at("name").as_string())) << id;
        EXPECT_EQ(*parse_json(got.calls[i].second), calls[i].at("arguments")) << id;
        const json::value* raw = find_member(calls[i], "arguments_text");
        if (raw != nullptr) {
          EXPECT_EQ(got.calls[i].second, std::string_view(raw->as_string())) << id;
        }
      }
    }
  }
}

TEST(ToolCallParser, reads_hermes_calls) {
  const auto read = [](const std::string& text) { return parse_every_way(ToolCallFormat::kHermes, text); };
  EXPECT_EQ(read("<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": [1, \"}\\\"\"]}}\n</tool_call>"),
            (Parsed{"", {{"f", "{\"a\": [1, \"}\\\"\"]}"}}}));
  EXPECT_EQ(read("Let me see.\n<tool_call>{\"arguments\": {\"x\":1.50}, \"name\": \"f\"}</tool_call>\n"
                 "<tool_call>{\"name\": \"g\"}</tool_call>\n"),
            (Parsed{"Let me see.\n", {{"f", "{\"x\":1.50}"}, {"g", "{}"}}}));
  EXPECT_EQ(read("\n\n<tool_call>{\"name\": \"f\", \"arguments\": \"{\\\"a\\\": 1}\"}</tool_call> done"),
            (Parsed{" done", {{"f", "{\"a\": 1}"}}}));
}

TEST(ToolCallParser, passes_malformed_calls_on_as_text) {
  for (const char* text : {
           "<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": }}</tool_call>",
           "<tool_call>{\"arguments\": {}}</tool_call>",
           "<tool_call>{\"name\": \"f\", \"arguments\": [1]}</tool_call>",
           "<tool_call>{\"name\": \"f\", \"argum",
           "a <tool_cal",
           "a <tool_call b",
           "  ",
           "",
           "<tool_call></tool_call>",
       }) {
    EXPECT_EQ(parse_every_way(ToolCallFormat::kHermes, text), (Parsed{text, {}}));
  }
  for (const char* text : {
           "<｜tool▁calls▁begin｜>",
           "<｜tool▁calls▁begin｜> and then text",
           "<｜tool▁calls▁begin｜><｜tool▁calls▁end｜>",
           "<｜tool▁call▁begin｜>f<｜tool▁call▁end｜>",
           "<｜tool▁call▁begin｜><｜tool▁sep｜>{}<｜tool▁call▁end｜>",
           "<｜tool▁call▁begin｜>f<｜tool▁sep｜>{\"a\": 1",
           "<｜tool▁call▁begin｜>function<｜tool▁sep｜>f",
       }) {
    EXPECT_EQ(parse_every_way(ToolCallFormat::kDeepSeek, text), (Parsed{text, {}}));
  }
}

TEST(ToolCallParser, keeps_good_calls_beside_a_malformed_one) {
  const std::string begin = "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>f<｜tool▁sep｜>{\"a\":1}<｜tool▁call▁end｜>";
  const std::string broken = "<｜tool▁call▁begin｜>g<｜tool▁sep｜>{<｜tool▁call▁end｜>";
  EXPECT_EQ(parse_every_way(ToolCallFormat::kDeepSeek, begin + broken + "<｜tool▁calls▁end｜>"),
            (Parsed{broken, {{"f", "{\"a\":1}"}}}));
}

TEST(ToolCallParser, accepts_a_complete_call_without_its_end_tag) {
  EXPECT_EQ(parse_every_way(ToolCallFormat::kDeepSeek,
                            "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>f\n```json\n{}\n```"),
            (Parsed{"", {{"f", "{}"}}}));
  EXPECT_EQ(parse_every_way(ToolCallFormat::kHermes, "<tool_call>{\"name\": \"f\"}\n"), (Parsed{"", {{"f", "{}"}}}));
}

TEST(ToolCallParser, reads_no_calls_of_other_formats) {
  const std::string hermes = "<tool_call>{\"name\": \"f\"}</tool_call>";
  EXPECT_EQ(parse_every_way(ToolCallFormat::kDeepSeek, hermes), (Parsed{hermes, {}}));
  EXPECT_EQ(parse_every_way(ToolCallFormat::kNone, hermes), (Parsed{hermes, {}}));
  EXPECT_EQ(parse_every_way(ToolCallFormat::kAny, hermes), (Parsed{"", {{"f", "{}"}}}));
}

TEST(ToolCallParser, detects_the_format_from_the_template) {
  EXPECT_EQ(detect_tool_call_format("{{'<｜tool▁call▁begin｜>'}}"), ToolCallFormat::kDeepSeek);
  EXPECT_EQ(detect_tool_call_format("... within <tool_call></tool_call> XML tags"), ToolCallFormat::kHermes);
  EXPECT_EQ(detect_tool_call_format("{{ messages }}"), ToolCallFormat::kNone);
}

TEST(OutputParser, looks_for_calls_in_the_answer_only) {
  const std::string call = "<tool_call>{\"name\": \"f\"}</tool_call>";
  OutputParser parser(ReasoningStart::kInside, ToolCallFormat::kHermes);
  std::string reasoning;
  std::string content;
  size_t calls = 0;
  const auto take = [&](const std::vector<OutputDelta>& deltas) {
    for (const OutputDelta& delta : deltas) {
      reasoning += delta.reasoning;
      content += delta.content;
      calls += delta.calls.size();
    }
  };
  for (const char c : "I could " + call + " now</think>\n\n" + call) take(parser.push(std::string(1, c)));
  take(parser.finish());
  EXPECT_EQ(reasoning, "I could " + call + " now");
  EXPECT_EQ(content, "");
  EXPECT_EQ(calls, 1U);
}

}  // namespace
}  // namespace cove::text
