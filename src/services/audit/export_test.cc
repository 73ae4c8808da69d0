#include "services/audit/export.h"

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "services/audit/line.h"
#include "services/audit/reader.h"
#include "services/audit/testing/log_folder.h"

namespace cove::audit {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// Cells of one row, by RFC 4180.
std::vector<std::string> cells_of(const std::string& row) {
  std::vector<std::string> cells(1);
  bool quoted = false;
  for (size_t i = 0; i + 2 < row.size() || (i < row.size() && row[i] != '\r'); ++i) {
    if (row[i] == '"') {
      if (quoted && i + 1 < row.size() && row[i + 1] == '"') {
        cells.back() += row[i++];
      } else {
        quoted = !quoted;
      }
    } else if (row[i] == ',' && !quoted) {
      cells.emplace_back();
    } else {
      cells.back() += row[i];
    }
  }
  return cells;
}

TEST(AuditExport, cells_are_never_formulas) {
  for (const std::string text : {"=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"}) {
    EXPECT_EQ(csv_cell(text).substr(0, 2), "\"'") << text;
    EXPECT_EQ(cells_of(csv_cell(text) + "\r\n")[0], "'" + text);
  }
}

TEST(AuditExport, cells_are_quoted_where_needed) {
  EXPECT_EQ(csv_cell("plain 结束"), "plain 结束");
  EXPECT_EQ(csv_cell(""), "");
  EXPECT_EQ(csv_cell("a,b"), "\"a,b\"");
  EXPECT_EQ(csv_cell("say \"no\""), "\"say \"\"no\"\"\"");
  EXPECT_EQ(csv_cell("two\nlines"), "\"two\nlines\"");
}

TEST(AuditExport, every_row_has_as_many_cells_as_the_header) {
  const auto header = cells_of(csv_header());
  Record record = testing::chat_record();
  record.path = "/v1/\"x\",\n=y";
  record.generation->answers[0].content = "=HYPERLINK(\"http://evil\")";
  const auto row = cells_of(csv_row(12, record));
  ASSERT_EQ(row.size(), header.size());
  const auto column = [&](std::string_view name) {
    return row[static_cast<size_t>(std::find(header.begin(), header.end(), name) - header.begin())];
  };
  EXPECT_EQ(column("seq"), "12");
  EXPECT_EQ(column("path"), record.path);
  EXPECT_EQ(column("temperature"), "0.6");
  EXPECT_EQ(column("seeds"), "18446744073709551615 2");
  EXPECT_EQ(column("completion_tokens"), "40");
  EXPECT_EQ(column("finish_reasons"), "stop length");
  EXPECT_THAT(column("answers"), HasSubstr("=HYPERLINK"));
  EXPECT_EQ(cells_of(csv_row(1, testing::plain_record())).size(), header.size());
}

TEST(AuditExport, a_summary_cannot_command_the_terminal) {
  Record record = testing::chat_record();
  record.path = "/v1/\x1b[2Jx\xc2\x9b";
  const std::string line = summary_line(record);
  EXPECT_THAT(line, HasSubstr("/v1/[2Jx 200 complete cove-mini 21+40 tokens 12.5 ms req-1"));
  EXPECT_THAT(line, Not(HasSubstr("\x1b")));
  EXPECT_THAT(line, HasSubstr("user:alice"));
}

TEST(AuditReader, gives_the_records_of_a_period_and_a_user) {
  const testing::LogFolder folder;
  const auto log = testing::open_log(folder.options());
  for (int i = 1; i <= 6; ++i) {
    Record record = testing::plain_record(i);
    if (i % 2 == 0) record.caller = {.id = "user:bob", .user = {}, .name = "Bob", .role = "user", .key_id = 0};
    log->append({}, record);
  }
  ASSERT_TRUE(log->close());
  const auto ids = [&](ReadOptions options) {
    options.dir = folder.dir();
    std::vector<std::string> out;
    EXPECT_TRUE(read_records(options, [&](StoredRecord& stored, std::string_view) -> Status {
      out.push_back(stored.record.request_id);
      return {};
    }));
    return out;
  };
  const int64_t third = testing::plain_record(3).time_ns;
  EXPECT_EQ(ids({}).size(), 6U);
  EXPECT_EQ(ids({.from_ns = third}), (std::vector<std::string>{"req-3", "req-4", "req-5", "req-6"}));
  EXPECT_EQ(ids({.to_ns = third}), (std::vector<std::string>{"req-1", "req-2"}));
  for (const std::string user : {"bob", "user:bob", "Bob"})
    EXPECT_EQ(ids({.user = user}), (std::vector<std::string>{"req-2", "req-4", "req-6"})) << user;
  for (const std::string user : {"alice", "user:alice", "key:7", "laptop"})
    EXPECT_EQ(ids({.user = user}), (std::vector<std::string>{"req-1", "req-3", "req-5"})) << user;
  EXPECT_TRUE(ids({.user = "ali"}).empty());
}

TEST(AuditTime, reads_what_people_write) {
  const int64_t day = 1'795'910'400'000'000'000;
  EXPECT_EQ(parse_time("2026-11-29"), day);
  EXPECT_EQ(parse_time("2026-11-29T00:00:01"), day + 1'000'000'000);
  EXPECT_EQ(parse_time("2026-11-29T00:00:01.5Z"), day + 1'500'000'000);
  EXPECT_EQ(parse_time(time_text(day + 123'000'000)), day + 123'000'000);
  for (const std::string text :
       {"", "yesterday", "2026-13-01", "2026-11-29T25:00:00", "2026-11-29T00:00:00.1234", "2026"})
    EXPECT_FALSE(parse_time(text)) << text;
}

TEST(AuditTime, is_written_in_utc_with_milliseconds) {
  EXPECT_EQ(time_text(1'795'910'400'123'999'999), "2026-11-29T00:00:00.123Z");
  EXPECT_EQ(time_text(0), "1970-01-01T00:00:00.000Z");
  EXPECT_EQ(time_text(-1'000'000), "1969-12-31T23:59:59.999Z");
}

}  // namespace
}  // namespace cove::audit
