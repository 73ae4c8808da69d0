#include "services/audit/verifier.h"

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "services/audit/testing/log_folder.h"

namespace cove::audit {
namespace {

using ::testing::HasSubstr;
using testing::LogFolder;
using testing::make_log;
using testing::read_lines;
using testing::write_lines;

// A log of one file: line 1 open, 2 checkpoint, 3 to 12 requests, 13 checkpoint; and what tests do to its lines.
class VerifierTest : public ::testing::Test {
 protected:
  void SetUp() override {
    make_log(folder_.options(), 10);
    lines_ = read_lines(file());
    ASSERT_EQ(lines_.size(), 13U);
  }

  std::filesystem::path file() const { return folder_.files().front().path; }
  std::string name() const { return file().filename().string(); }

  CheckReport check(CheckOptions options = {}) {
    write_lines(file(), lines_);
    return check_folder(std::move(options));
  }
  CheckReport check_folder(CheckOptions options = {}) {
    auto report = verify({.dir = folder_.dir(), .check = std::move(options)});
    EXPECT_TRUE(report) << report.error().message;
    return report ? std::move(report->check) : CheckReport{};
  }

  // Changes something in a line.
  void edit(size_t number) {
    std::string& line = lines_[number - 1];
    const size_t at = line.find("192.0.2.4");
    ASSERT_NE(at, std::string::npos);
    line.replace(at, 9, "192.0.2.9");
  }
  // Gives lines `first` to `last` numbers, links and hashes that fit, as somebody without the key can do.
  void rehash(size_t first, size_t last) {
    for (size_t number = first; number <= last; ++number) {
      const auto before = parse_line(lines_[number - 2]);
      const auto line = parse_line(lines_[number - 1]);
      ASSERT_TRUE(before && line);
      ChainState state{.sequence = before->sequence, .hash = before->hash};
      const std::string type(line->type);
      const size_t head = std::string(line->content).find(R"("type":")" + type + '"');
      const std::string members(line->content.substr(head + 9 + type.size()));
      std::string made;
      append_line(made, state, type, members);
      made.pop_back();
      lines_[number - 1] = made;
    }
  }

  LogFolder folder_;
  std::vector<std::string> lines_;
};

// The one problem of a report.
void expect_problem(const CheckReport& report, ProblemKind kind, uint64_t line, uint64_t sequence) {
  ASSERT_EQ(report.problems_total, 1U) << ::testing::PrintToString([&] {
    std::vector<std::string> texts;
    for (const Problem& problem : report.problems) texts.push_back(to_string(problem));
    return texts;
  }());
  const Problem& problem = report.problems.front();
  EXPECT_EQ(problem.kind, kind) << to_string(problem);
  EXPECT_EQ(problem.place.line, line) << to_string(problem);
  EXPECT_EQ(problem.sequence, sequence) << to_string(problem);
}

TEST_F(VerifierTest, an_untouched_log_is_intact) {
  const CheckReport report = check();
  EXPECT_EQ(report.problems_total, 0U);
  EXPECT_EQ(report.lines, 13U);
  EXPECT_EQ(report.requests, 10U);
  EXPECT_EQ(report.checkpoints, 2U);
  EXPECT_EQ(report.sequence_signed, 13U);
  EXPECT_TRUE(report.notes.empty());
}

TEST_F(VerifierTest, every_single_changed_byte_is_found) {
  const std::string before = lines_[6];
  for (size_t i = 0; i < before.size(); ++i) {
    lines_[6] = before;
    lines_[6][i] = static_cast<char>(lines_[6][i] ^ 1);
    if (lines_[6][i] == '\n') continue;  // that is another case: a line in two
    const CheckReport report = check();
    ASSERT_GE(report.problems_total, 1U) << "byte " << i;
    ASSERT_EQ(report.problems.front().place.line, 7U) << "byte " << i << ": " << to_string(report.problems.front());
  }
}

TEST_F(VerifierTest, names_an_edited_line) {
  edit(7);
  const CheckReport report = check();
  expect_problem(report, ProblemKind::kEdited, 7, 7);
  EXPECT_THAT(to_string(report.problems[0]), HasSubstr(name() + ":7: sequence 7: edited"));
}

TEST_F(VerifierTest, names_a_line_that_was_replaced_by_one_whose_hash_fits) {
  edit(7);
  rehash(7, 7);
  expect_problem(check(), ProblemKind::kReplaced, 7, 7);
}

TEST_F(VerifierTest, finds_a_rewritten_rest_at_the_next_checkpoint) {
  edit(7);
  rehash(7, 13);
  const CheckReport report = check();
  expect_problem(report, ProblemKind::kForged, 13, 13);
  EXPECT_THAT(report.problems[0].what, HasSubstr("lines 3 to 13"));
}

TEST_F(VerifierTest, names_removed_lines) {
  lines_.erase(lines_.begin() + 5, lines_.begin() + 8);
  const CheckReport report = check();
  expect_problem(report, ProblemKind::kRemoved, 6, 6);
  EXPECT_EQ(report.problems[0].sequence_last, 8U);
  EXPECT_THAT(report.problems[0].what, HasSubstr("lines 6 to 8 are missing between " + name() + ":5"));
}

TEST_F(VerifierTest, finds_a_removed_line_also_when_the_rest_was_numbered_anew) {
  lines_.erase(lines_.begin() + 5);
  rehash(6, 12);
  const CheckReport report = check();
  expect_problem(report, ProblemKind::kForged, 12, 12);
}

TEST_F(VerifierTest, names_lines_that_changed_places) {
  std::swap(lines_[5], lines_[6]);
  expect_problem(check(), ProblemKind::kReordered, 7, 6);
}

TEST_F(VerifierTest, names_a_line_that_was_moved_down) {
  std::rotate(lines_.begin() + 4, lines_.begin() + 5, lines_.begin() + 10);
  expect_problem(check(), ProblemKind::kReordered, 10, 5);
}

TEST_F(VerifierTest, names_a_line_that_was_moved_up) {
  std::rotate(lines_.begin() + 4, lines_.begin() + 9, lines_.begin() + 10);
  const CheckReport report = check();
  expect_problem(report, ProblemKind::kReordered, 5, 10);
  EXPECT_THAT(report.problems[0].what, HasSubstr("line 10 stands before line 5"));
}

TEST_F(VerifierTest, names_an_inserted_line) {
  lines_.insert(lines_.begin() + 6, lines_[5]);  // a repeated one
  expect_problem(check(), ProblemKind::kInserted, 7, 6);
}

TEST_F(VerifierTest, names_an_inserted_line_that_was_made_to_fit) {
  const std::string line_7 = lines_[6];
  lines_.insert(lines_.begin() + 6, line_7);
  edit(7);
  rehash(7, 7);  // a forged line 7; the true one follows
  const CheckReport report = check();
  expect_problem(report, ProblemKind::kInserted, 7, 7);
  EXPECT_THAT(report.problems[0].what, HasSubstr("the true line 7 is " + name() + ":8"));
}

TEST_F(VerifierTest, names_an_inserted_line_that_is_none) {
  lines_.insert(lines_.begin() + 6, "hello");
  expect_problem(check(), ProblemKind::kInserted, 7, 7);
}

TEST_F(VerifierTest, names_a_line_that_became_unreadable) {
  lines_[6] = "hello";
  expect_problem(check(), ProblemKind::kEdited, 7, 7);
}

TEST_F(VerifierTest, finds_lines_cut_off_at_the_end_with_a_head_that_was_saved) {
  const auto head = read_head(folder_.dir(), 0);
  ASSERT_TRUE(head);
  lines_.resize(8);
  EXPECT_EQ(check().problems_total, 0U);  // nothing in the log can tell
  const CheckReport report = check({.heads = {*head}});
  expect_problem(report, ProblemKind::kTruncated, 8, 9);
  EXPECT_EQ(report.problems[0].sequence_last, 13U);
  EXPECT_THAT(report.problems[0].what, HasSubstr("lines 9 to 13 are missing"));
}

TEST_F(VerifierTest, finds_a_rewritten_end_with_a_head_that_was_saved) {
  const auto head = read_head(folder_.dir(), 0);
  lines_.pop_back();
  lines_.push_back(lines_.back());
  edit(12);
  rehash(12, 13);
  expect_problem(check({.heads = {*head}}), ProblemKind::kReplaced, 13, 13);
}

TEST_F(VerifierTest, a_saved_head_stays_good_while_the_log_grows) {
  const auto head = read_head(folder_.dir(), 1'795'000'000'000'000'000);
  ASSERT_TRUE(head);
  make_log(folder_.options(), 5);
  const auto heads = parse_heads(to_json(*head) + "\n\n" + to_json(*read_head(folder_.dir(), 0)) + "\n");
  ASSERT_TRUE(heads) << heads.error().message;
  EXPECT_EQ(heads->size(), 2U);
  EXPECT_EQ(check_folder({.heads = *heads}).problems_total, 0U);
}

TEST_F(VerifierTest, refuses_files_that_are_no_heads) {
  for (const std::string text : {"", "{}", "[1]", "hello", R"({"log":"a","seq":-1,"hash":"00"})"})
    EXPECT_FALSE(parse_heads(text)) << text;
}

TEST_F(VerifierTest, finds_lines_removed_at_the_beginning) {
  lines_.erase(lines_.begin(), lines_.begin() + 4);
  const CheckReport report = check();
  // The file does not begin as files do, lines are missing, and the log does not name its key any more.
  ASSERT_EQ(report.problems_total, 3U);
  EXPECT_EQ(report.problems[1].kind, ProblemKind::kRemoved);
  EXPECT_THAT(report.problems[1].what, HasSubstr("lines 1 to 4 are missing at the beginning"));
}

TEST_F(VerifierTest, half_a_line_at_the_end_is_named) {
  testing::write_text(file(), testing::read_text(file()) + "{\"seq\":14,");
  expect_problem(check_folder(), ProblemKind::kIncomplete, 14, 14);
}

TEST_F(VerifierTest, half_a_line_is_no_problem_while_a_server_writes) {
  const auto log = testing::open_log(folder_.options());
  testing::write_text(file(), testing::read_text(file()) + "{\"seq\":16,");
  const CheckReport report = check_folder();
  EXPECT_EQ(report.problems_total, 0U);
  EXPECT_EQ(report.notes.size(), 1U);
}

TEST_F(VerifierTest, what_a_crash_left_must_stay_where_the_log_says) {
  testing::write_text(file(), testing::read_text(file()) + "{\"seq\":14,");
  make_log(folder_.options(), 1);
  EXPECT_EQ(check_folder().problems_total, 0U);
  EXPECT_EQ(check_folder().notes.size(), 1U);
  const auto torn = folder_.dir() / torn_file_name(1, 14);
  testing::write_text(torn, "{\"seq\":15,");
  expect_problem(check_folder(), ProblemKind::kEdited, 15, 15);
  std::filesystem::remove(torn);
  expect_problem(check_folder(), ProblemKind::kRemoved, 15, 15);
}

TEST_F(VerifierTest, knows_a_log_that_another_key_signed) {
  const auto key = SigningKey::open(folder_.options().signing_key_file, MissingKey::kRefuse);
  const auto other = SigningKey::open(folder_.root() / "other.pem", MissingKey::kMake);
  ASSERT_TRUE(key && other);
  EXPECT_EQ(check({.keys = {key->public_key()}}).problems_total, 0U);
  const CheckReport report = check({.keys = {other->public_key()}});
  EXPECT_EQ(report.problems_total, 2U);
  EXPECT_EQ(report.problems[0].kind, ProblemKind::kForged);
  EXPECT_THAT(report.problems[0].what, HasSubstr(key->public_key().id()));
}

TEST_F(VerifierTest, a_checkpoint_of_another_line_does_not_fit) {
  // The first checkpoint, put in place of the last: signed by the right key, for another line.
  const auto first = parse_line(lines_[1]);
  ASSERT_TRUE(first);
  lines_[12] = lines_[1];
  rehash(13, 13);
  expect_problem(check(), ProblemKind::kForged, 13, 13);
}

TEST_F(VerifierTest, too_many_lines_without_a_checkpoint_are_noticed) {
  const LogFolder folder;
  LogOptions options = folder.options();
  options.checkpoint_lines = 10;
  make_log(options, 30);
  auto lines = read_lines(folder.files()[0].path);
  lines_.clear();
  for (const std::string& line : lines) {
    if (lines_.size() < 2 || parse_line(line)->type != kCheckpointLine) lines_.push_back(line);
  }
  rehash(3, lines_.size());
  write_lines(folder.files()[0].path, lines_);
  const auto report = verify({.dir = folder.dir()});
  ASSERT_TRUE(report);
  expect_problem(report->check, ProblemKind::kUnsigned, 15, 15);
}

// Several files.
class RotatedVerifierTest : public ::testing::Test {
 protected:
  void SetUp() override {
    LogOptions options = folder_.options();
    options.file_bytes_max = 2048;
    const auto log = testing::open_log(options);
    for (int i = 0; i < 20; ++i) {
      log->append({}, testing::plain_record(i));
      ASSERT_TRUE(log->flush());
    }
    ASSERT_TRUE(log->close());
    ASSERT_GE(folder_.files().size(), 4U);
  }
  LogFolder folder_;
};

TEST_F(RotatedVerifierTest, the_chain_goes_on_from_file_to_file) {
  const auto report = verify({.dir = folder_.dir()});
  ASSERT_TRUE(report);
  EXPECT_EQ(report->check.problems_total, 0U);
  EXPECT_EQ(report->check.requests, 20U);
  EXPECT_EQ(report->files, folder_.files().size());
}

TEST_F(RotatedVerifierTest, a_removed_file_is_noticed) {
  const auto files = folder_.files();
  std::filesystem::remove(files[1].path);
  const auto report = verify({.dir = folder_.dir()});
  ASSERT_TRUE(report);
  ASSERT_EQ(report->check.problems_total, 1U);
  EXPECT_EQ(report->check.problems[0].kind, ProblemKind::kRemoved);
  EXPECT_EQ(report->check.problems[0].place.file, files[2].path.filename());
  EXPECT_THAT(report->check.problems[0].what, HasSubstr(files[0].path.filename().string()));
}

TEST_F(RotatedVerifierTest, first_files_may_be_archived_when_that_is_said) {
  std::filesystem::remove(folder_.files()[0].path);
  const auto whole = verify({.dir = folder_.dir()});
  ASSERT_TRUE(whole);
  EXPECT_EQ(whole->check.problems_total, 1U);
  const auto partial = verify({.dir = folder_.dir(), .check = {.beginning = CheckOptions::Beginning::kPartial}});
  ASSERT_TRUE(partial);
  EXPECT_EQ(partial->check.problems_total, 0U);
  EXPECT_EQ(partial->check.notes.size(), 1U);
}

TEST_F(RotatedVerifierTest, files_that_changed_names_are_noticed) {
  const auto files = folder_.files();
  std::filesystem::rename(files[1].path, folder_.root() / "kept");
  std::filesystem::rename(files[2].path, files[1].path);
  std::filesystem::rename(folder_.root() / "kept", files[2].path);
  const auto report = verify({.dir = folder_.dir()});
  ASSERT_TRUE(report);
  EXPECT_GE(report->check.problems_total, 1U);
}

TEST_F(RotatedVerifierTest, two_files_with_one_number_cannot_be_put_in_order) {
  const auto files = folder_.files();
  std::filesystem::copy_file(files[0].path, folder_.dir() / "audit-000001-2001-01-01.jsonl");
  const auto report = verify({.dir = folder_.dir()});
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code, ErrorCode::kDataCorrupt);
}

TEST(Verifier, says_when_there_is_no_log) {
  const LogFolder folder;
  EXPECT_EQ(verify({.dir = folder.dir()}).error().code, ErrorCode::kNotFound);
  std::filesystem::create_directories(folder.dir());
  EXPECT_EQ(verify({.dir = folder.dir()}).error().code, ErrorCode::kNotFound);
}

}  // namespace
}  // namespace cove::audit
