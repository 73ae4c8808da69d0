#include "base/log.h"

#include <string>

#include <gtest/gtest.h>

#include "base/json.h"

namespace cove::log {
namespace {

// Runs `write` and returns what it put on standard error; the log's settings are put back afterwards.
template <class Write>
std::string logged(Level level, Style style, Write write) {
  configure(level, style);
  ::testing::internal::CaptureStderr();
  write();
  std::string text = ::testing::internal::GetCapturedStderr();
  configure(Level::kInfo, Style::kText);
  return text;
}

TEST(Log, text_quotes_only_what_needs_it) {
  const std::string line = logged(Level::kInfo, Style::kText, [] {
    info("engine.loaded", {{"model", "cove-mini"}, {"note", "two words"}, {"gb", 3.25}, {"pages", 7}, {"ok", true}});
  });
  EXPECT_NE(line.find(" engine.loaded model=cove-mini note=\"two words\" gb=3.25 pages=7 ok=true\n"), std::string::npos)
      << line;
}

TEST(Log, json_lines_parse_and_keep_hostile_text_in_place) {
  const std::string line =
      logged(Level::kInfo, Style::kJson, [] { warn("request.refused", {{"path", "/v1\n\"}{\x01小"}, {"count", 12}}); });
  EXPECT_EQ(line.find('\n'), line.size() - 1);
  const auto parsed = parse_json(line);
  ASSERT_TRUE(parsed.has_value()) << line;
  EXPECT_EQ(parsed->at("level").as_string(), "warning");
  EXPECT_EQ(parsed->at("event").as_string(), "request.refused");
  EXPECT_EQ(parsed->at("path").as_string(), "/v1\n\"}{\x01小");
  EXPECT_EQ(parsed->at("count").as_int64(), 12);
}

TEST(Log, an_event_in_text_cannot_break_its_line) {
  const std::string line = logged(Level::kInfo, Style::kText, [] { info("x", {{"value", "a\nb"}}); });
  EXPECT_EQ(line.find('\n'), line.size() - 1);
}

TEST(Log, below_the_level_nothing_is_written) {
  const auto write = [] {
    debug("a");
    info("b");
    error("c");
  };
  EXPECT_EQ(logged(Level::kOff, Style::kText, write), "");
  const std::string text = logged(Level::kError, Style::kText, write);
  EXPECT_EQ(text.find(" b"), std::string::npos);
  EXPECT_NE(text.find(" c"), std::string::npos);
}

}  // namespace
}  // namespace cove::log
