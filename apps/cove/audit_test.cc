// cove audit, as a user calls it.
#include <algorithm>
#include <initializer_list>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "audit_commands.h"
#include "base/json.h"
#include "commands.h"
#include "services/audit/testing/log_folder.h"

namespace cove::app {
namespace {

using audit::testing::LogFolder;
using ::testing::HasSubstr;

struct Outcome {
  int code = 0;
  std::string out;
};

Outcome run(std::initializer_list<std::string> arguments) {
  std::vector<const char*> argv{"audit"};
  for (const std::string& argument : arguments) argv.push_back(argument.c_str());
  ::testing::internal::CaptureStdout();
  const int code = kAudit.run(static_cast<int>(argv.size()), argv.data());
  return {code, ::testing::internal::GetCapturedStdout()};
}

class AuditCommand : public ::testing::Test {
 protected:
  void SetUp() override { audit::testing::make_log(folder_.options(), 5); }
  std::string dir() const { return folder_.dir().string(); }
  LogFolder folder_;
};

TEST_F(AuditCommand, verify_says_intact_and_exits_0) {
  const Outcome outcome = run({"verify", "--dir", dir()});
  EXPECT_EQ(outcome.code, kDone);
  EXPECT_THAT(outcome.out, HasSubstr("intact: 8 lines in 1 files, 5 of them requests"));
}

TEST_F(AuditCommand, verify_names_the_line_and_exits_1) {
  const auto file = folder_.files()[0].path;
  auto lines = audit::testing::read_lines(file);
  lines[4].replace(lines[4].find("req-3"), 5, "req-7");
  audit::testing::write_lines(file, lines);
  const Outcome text = run({"verify", "--dir", dir()});
  EXPECT_EQ(text.code, kCouldNot);
  EXPECT_THAT(text.out, HasSubstr(file.filename().string() + ":5: sequence 5: edited"));
  const Outcome as_json = run({"verify", "--dir", dir(), "--json"});
  EXPECT_EQ(as_json.code, kCouldNot);
  const auto parsed = parse_json(as_json.out);
  ASSERT_TRUE(parsed);
  EXPECT_EQ(*find_member(*parsed, "intact"), json::value(false));
  EXPECT_EQ(*find_member((*find_member(*parsed, "problems")).as_array()[0], "line"), json::value(5));
}

TEST_F(AuditCommand, a_saved_head_and_key_show_what_was_cut_off) {
  const Outcome head = run({"head", "--dir", dir()});
  const Outcome key = run({"key", "--dir", dir()});
  ASSERT_EQ(head.code, kDone);
  ASSERT_EQ(key.code, kDone);
  const auto head_file = folder_.root() / "heads";
  const auto key_file = folder_.root() / "key.pub";
  audit::testing::write_text(head_file, head.out);
  audit::testing::write_text(key_file, key.out);
  EXPECT_EQ(run({"verify", "--dir", dir(), "--head", head_file.string(), "--public-key", key_file.string()}).code,
            kDone);
  auto lines = audit::testing::read_lines(folder_.files()[0].path);
  lines.resize(6);
  audit::testing::write_lines(folder_.files()[0].path, lines);
  EXPECT_EQ(run({"verify", "--dir", dir()}).code, kDone);
  const Outcome cut = run({"verify", "--dir", dir(), "--head", head_file.string()});
  EXPECT_EQ(cut.code, kCouldNot);
  EXPECT_THAT(cut.out, HasSubstr("lines 7 to 8 are missing"));
}

TEST_F(AuditCommand, tail_prints_the_last_records) {
  const Outcome outcome = run({"tail", "--dir", dir(), "-n", "2"});
  EXPECT_EQ(outcome.code, kDone);
  EXPECT_EQ(std::count(outcome.out.begin(), outcome.out.end(), '\n'), 2);
  EXPECT_THAT(outcome.out, HasSubstr("user:alice GET /v1/models 200 complete 12.5 ms req-5"));
}

TEST_F(AuditCommand, export_writes_csv_and_json_of_a_user) {
  const Outcome csv = run({"export", "--dir", dir(), "--user", "alice"});
  EXPECT_EQ(csv.code, kDone);
  EXPECT_EQ(std::count(csv.out.begin(), csv.out.end(), '\n'), 6);
  const Outcome as_json = run({"export", "--dir", dir(), "--format", "json"});
  const auto parsed = parse_json(as_json.out);
  ASSERT_TRUE(parsed) << as_json.out;
  EXPECT_EQ(parsed->as_array().size(), 5U);
  const Outcome none = run({"export", "--dir", dir(), "--user", "nobody", "--format", "json"});
  ASSERT_TRUE(parse_json(none.out));
  EXPECT_TRUE(parse_json(none.out)->as_array().empty());
}

TEST_F(AuditCommand, export_does_not_overwrite) {
  const std::string file = (folder_.root() / "out.csv").string();
  EXPECT_EQ(run({"export", "--dir", dir(), "-o", file}).code, kDone);
  EXPECT_EQ(run({"export", "--dir", dir(), "-o", file}).code, kCouldNot);
}

TEST_F(AuditCommand, wrong_usage_exits_2) {
  EXPECT_EQ(run({}).code, kWrongUsage);
  EXPECT_EQ(run({"frobnicate"}).code, kWrongUsage);
  EXPECT_EQ(run({"export", "--dir", dir(), "--format", "xml"}).code, kWrongUsage);
  EXPECT_EQ(run({"export", "--dir", dir(), "--from", "yesterday"}).code, kCouldNot);
  EXPECT_EQ(run({"verify", "--dir", "/nowhere"}).code, kCouldNot);
}

}  // namespace
}  // namespace cove::app
