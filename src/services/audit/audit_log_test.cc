#include "services/audit/audit_log.h"

#include <atomic>
#include <csignal>
#include <ctime>
#include <mutex>
#include <thread>

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "services/audit/line.h"
#include "services/audit/record_json.h"
#include "services/audit/testing/log_folder.h"

namespace cove::audit {
namespace {

using testing::chat_record;
using testing::LogFolder;
using testing::make_log;
using testing::open_log;
using testing::plain_record;
using testing::read_lines;

std::vector<std::string> all_lines(const LogFolder& folder) {
  std::vector<std::string> lines;
  for (const LogFile& file : folder.files()) {
    for (std::string& line : read_lines(file.path)) lines.push_back(std::move(line));
  }
  return lines;
}

// Types of the lines, and that each follows from the one before.
std::vector<std::string> types_of(const LogFolder& folder) {
  std::vector<std::string> types;
  ChainState state;
  for (const std::string& text : all_lines(folder)) {
    const auto line = parse_line(text);
    EXPECT_TRUE(line) << text;
    if (!line) return types;
    EXPECT_TRUE(line->intact()) << text;
    EXPECT_EQ(line->previous, state.hash) << text;
    EXPECT_EQ(line->sequence, state.sequence + 1) << text;
    state = {.sequence = line->sequence, .hash = line->hash};
    types.emplace_back(line->type);
  }
  return types;
}

size_t count_of(const std::vector<std::string>& list, std::string_view what) {
  return static_cast<size_t>(std::count(list.begin(), list.end(), what));
}

json::object request_line(const LogFolder& folder, size_t number = 0) {
  for (const std::string& text : all_lines(folder)) {
    const auto line = parse_line(text);
    if (line && line->type == kRequestLine && number-- == 0) return *parse_content(*line);
  }
  ADD_FAILURE() << "there is no such request line";
  return {};
}

TEST(AuditLog, writes_a_chain_that_begins_with_a_signed_open_line) {
  const LogFolder folder;
  make_log(folder.options(), 3);
  EXPECT_EQ(types_of(folder),
            (std::vector<std::string>{"open", "checkpoint", "request", "request", "request", "checkpoint"}));
}

TEST(AuditLog, keeps_every_field_of_a_record) {
  const LogFolder folder;
  LogOptions options = folder.options();
  options.prompts = PromptForm::kFull;
  open_log(options)->append({}, chat_record());
  const json::object object = request_line(folder);
  const auto stored = parse_record(object);
  ASSERT_TRUE(stored) << stored.error().message;
  EXPECT_EQ(stored->texts, PromptForm::kFull);
  // Written again, it is the same: nothing was lost on either way.
  std::string first;
  std::string second;
  append_record(first, chat_record(), {.form = PromptForm::kFull});
  append_record(second, stored->record, {.form = PromptForm::kFull});
  EXPECT_EQ(first, second);
  EXPECT_EQ(stored->record.generation->parameters.seeds.front(), 18'446'744'073'709'551'615U);
  EXPECT_EQ(stored->record.generation->answers[1].content, "五十四");
}

TEST(AuditLog, hashed_texts_are_equal_for_equal_texts_and_tell_nothing) {
  const LogFolder folder;
  const auto log = open_log(folder.options());
  log->append({}, chat_record(1));
  log->append({}, chat_record(2));
  ASSERT_TRUE(log->close());
  const auto first = parse_record(request_line(folder, 0));
  const auto second = parse_record(request_line(folder, 1));
  ASSERT_TRUE(first && second);
  EXPECT_EQ(first->texts, PromptForm::kHash);
  EXPECT_TRUE(first->record.generation->prompt.starts_with(kHashedText));
  EXPECT_EQ(first->record.generation->prompt, second->record.generation->prompt);
  EXPECT_NE(first->record.generation->prompt, first->record.generation->request);
  for (const std::string& line : all_lines(folder)) EXPECT_EQ(line.find("小明"), std::string::npos);
}

TEST(AuditLog, keeps_texts_as_the_callers_role_says) {
  const LogFolder folder;
  LogOptions options = folder.options();
  options.prompts = PromptForm::kNone;
  options.prompts_by_role = {{"auditor", PromptForm::kFull}};
  const auto log = open_log(options);
  EXPECT_EQ(log->prompt_form("user"), PromptForm::kNone);
  EXPECT_EQ(log->prompt_form("auditor"), PromptForm::kFull);
  log->append({}, chat_record());
  Record of_auditor = chat_record();
  of_auditor.caller.role = "auditor";
  log->append({}, of_auditor);
  ASSERT_TRUE(log->close());
  const auto none = parse_record(request_line(folder, 0));
  const auto full = parse_record(request_line(folder, 1));
  ASSERT_TRUE(none && full);
  EXPECT_EQ(none->record.generation->prompt, "");
  EXPECT_TRUE(none->record.generation->answers.empty());
  EXPECT_EQ(none->record.generation->completion_tokens, 40);
  EXPECT_EQ(full->record.generation->request, chat_record().generation->request);
}

TEST(AuditLog, makes_keys_for_its_owner_alone) {
  const LogFolder folder;
  make_log(folder.options(), 1);
  for (const auto& path : {folder.options().signing_key_file, folder.options().hash_key_file, folder.files()[0].path}) {
    struct stat info{};
    ASSERT_EQ(::stat(path.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0600U) << path;
  }
}

TEST(AuditLog, continues_the_chain_over_restarts) {
  const LogFolder folder;
  make_log(folder.options(), 2);
  make_log(folder.options(), 2);
  EXPECT_EQ(folder.files().size(), 1U);
  EXPECT_EQ(types_of(folder), (std::vector<std::string>{"open", "checkpoint", "request", "request", "checkpoint",
                                                        "open", "checkpoint", "request", "request", "checkpoint"}));
}

TEST(AuditLog, refuses_a_second_writer) {
  const LogFolder folder;
  const auto log = open_log(folder.options());
  const auto second = Log::open(folder.options());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::kFailedPrecondition);
}

TEST(AuditLog, refuses_to_go_on_with_another_key_or_none) {
  const LogFolder folder;
  make_log(folder.options(), 1);
  const auto key = folder.options().signing_key_file;
  std::filesystem::rename(key, folder.root() / "kept");
  const auto without = Log::open(folder.options());
  ASSERT_FALSE(without);
  EXPECT_NE(without.error().message.find("missing"), std::string::npos) << without.error().message;
  ASSERT_TRUE(SigningKey::open(key, MissingKey::kMake));
  const auto other = Log::open(folder.options());
  ASSERT_FALSE(other);
  EXPECT_NE(other.error().message.find("is not the key"), std::string::npos) << other.error().message;
  std::filesystem::rename(folder.root() / "kept", key);
  EXPECT_TRUE(Log::open(folder.options()));
}

TEST(AuditLog, refuses_a_key_that_every_account_may_open) {
  const LogFolder folder;
  make_log(folder.options(), 1);
  ASSERT_EQ(::chmod(folder.options().signing_key_file.c_str(), 0644), 0);
  const auto log = Log::open(folder.options());
  ASSERT_FALSE(log);
  EXPECT_NE(log.error().message.find("every account"), std::string::npos);
}

TEST(AuditLog, signs_after_so_many_lines) {
  const LogFolder folder;
  LogOptions options = folder.options();
  options.checkpoint_lines = 10;
  make_log(options, 25);
  EXPECT_EQ(count_of(types_of(folder), "checkpoint"), 1 + 2 + 1U);
}

TEST(AuditLog, signs_after_some_time_without_more_lines) {
  const LogFolder folder;
  LogOptions options = folder.options();
  options.checkpoint_interval = std::chrono::milliseconds(1);
  const auto log = open_log(options);
  log->append({}, plain_record());
  while (log->stats().sequence < 4) std::this_thread::yield();  // open, checkpoint, request, checkpoint
  EXPECT_EQ(types_of(folder).back(), "checkpoint");
}

TEST(AuditLog, begins_a_new_file_when_one_is_large_enough) {
  const LogFolder folder;
  LogOptions options = folder.options();
  options.file_bytes_max = 4096;
  const auto log = open_log(options);
  for (int i = 0; i < 40; ++i) {
    log->append({}, chat_record(i));
    ASSERT_TRUE(log->flush());
  }
  ASSERT_TRUE(log->close());
  EXPECT_GE(folder.files().size(), 5U);
  EXPECT_EQ(count_of(types_of(folder), "request"), 40U);
  for (const LogFile& file : folder.files()) {
    const auto lines = read_lines(file.path);
    EXPECT_EQ(parse_line(lines.front())->type, kOpenLine);
    EXPECT_EQ(parse_line(lines.back())->type, kCheckpointLine);
  }
}

TEST(AuditLog, begins_a_new_file_every_day) {
  const LogFolder folder;
  LogOptions options = folder.options();
  const auto now = std::make_shared<std::atomic<int64_t>>(1'795'000'000'000'000'000);
  options.now_ns = [now] { return now->load(); };
  const auto log = open_log(options);
  for (int day = 0; day < 3; ++day) {
    log->append({}, plain_record(day));
    ASSERT_TRUE(log->flush());
    *now += int64_t{86'400} * 1'000'000'000;
  }
  ASSERT_TRUE(log->close());
  ASSERT_EQ(folder.files().size(), 3U);
  EXPECT_EQ(folder.files()[2].path.filename(), "audit-000003-2026-11-20.jsonl");
}

TEST(AuditLog, keeps_the_torn_end_that_a_crash_left_and_says_so_in_the_chain) {
  for (const std::string& torn :
       {std::string("{\"seq\":4,\"prev\""), std::string(100, '\0'), std::string("x\n\0\n", 4)}) {
    const LogFolder folder;
    make_log(folder.options(), 1);
    const auto file = folder.files()[0].path;
    testing::write_text(file, testing::read_text(file) + torn);
    make_log(folder.options(), 1);
    const auto types = types_of(folder);
    ASSERT_EQ(count_of(types, "recovered"), 1U);
    EXPECT_EQ(testing::read_text(folder.dir() / torn_file_name(1, 5)), torn);
    EXPECT_EQ(count_of(types, "request"), 2U);
  }
}

TEST(AuditLog, goes_on_after_a_crash_before_the_first_line_of_a_file) {
  const LogFolder folder;
  make_log(folder.options(), 1);
  const int64_t now_ns = int64_t{std::time(nullptr)} * 1'000'000'000;
  testing::write_text(folder.dir() / log_file_name(2, now_ns), "{\"seq\":");
  make_log(folder.options(), 1);
  ASSERT_EQ(folder.files().size(), 2U);
  EXPECT_EQ(count_of(types_of(folder), "recovered"), 1U);
}

TEST(AuditLog, refuses_to_go_on_behind_a_line_that_was_changed) {
  const LogFolder folder;
  make_log(folder.options(), 3);
  const auto file = folder.files()[0].path;
  auto lines = read_lines(file);
  lines[3].replace(lines[3].find("req-2"), 5, "req-9");
  testing::write_lines(file, lines);
  const auto log = Log::open(folder.options());
  ASSERT_FALSE(log);
  EXPECT_EQ(log.error().code, ErrorCode::kDataCorrupt);
  EXPECT_NE(log.error().message.find(":4:"), std::string::npos) << log.error().message;
}

TEST(AuditLog, many_threads_append_and_everybody_is_told_once) {
  const LogFolder folder;
  LogOptions options = folder.options();
  options.sync = SyncPolicy::kAlways;
  constexpr int kThreads = 8;
  constexpr int kEach = 200;
  std::atomic<int> told{0};
  {
    const auto log = open_log(options);
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < kEach; ++i) {
          auto slot = log->admit();
          ASSERT_TRUE(slot) << slot.error().message;
          log->append(std::move(*slot), plain_record(t * kEach + i), [&](const Status& on_disk) {
            EXPECT_TRUE(on_disk);
            ++told;
          });
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    ASSERT_TRUE(log->flush());
    EXPECT_EQ(told, kThreads * kEach);
    EXPECT_EQ(log->stats().written, static_cast<uint64_t>(kThreads * kEach));
    EXPECT_LE(log->stats().syncs, static_cast<uint64_t>(kThreads * kEach) + 2);
  }
  EXPECT_EQ(count_of(types_of(folder), "request"), static_cast<size_t>(kThreads * kEach));
}

TEST(AuditLog, promises_no_more_places_than_there_are) {
  const LogFolder folder;
  LogOptions options = folder.options();
  options.queue_max = 2;
  const auto log = open_log(options);
  auto first = log->admit();
  auto second = log->admit();
  ASSERT_TRUE(first && second);
  const auto third = log->admit();
  ASSERT_FALSE(third);
  EXPECT_EQ(third.error().code, ErrorCode::kUnavailable);
  *first = Log::Slot();  // given up
  EXPECT_TRUE(log->admit());
}

TEST(AuditLog, after_close_nothing_is_admitted_and_appending_says_so) {
  const LogFolder folder;
  const auto log = open_log(folder.options());
  ASSERT_TRUE(log->close());
  EXPECT_FALSE(log->admit());
  bool told = false;
  log->append({}, plain_record(), [&](const Status& on_disk) {
    EXPECT_FALSE(on_disk);
    told = true;
  });
  EXPECT_TRUE(told);
  EXPECT_TRUE(log->close());
}

// A limit on the size of files stands in for a full disk: writing beyond it fails, as ENOSPC does.
class DiskLimit {
 public:
  explicit DiskLimit(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit now{bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &now);
  }
  void lift() { ::setrlimit(RLIMIT_FSIZE, &before_); }
  ~DiskLimit() {
    lift();
    std::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit before_{};
  void (*handler_)(int);
};

TEST(AuditLog, a_full_disk_stops_service_and_nothing_is_lost_when_there_is_room_again) {
  const LogFolder folder;
  const auto log = open_log(folder.options());
  DiskLimit limit(std::filesystem::file_size(folder.files()[0].path) + 100);
  std::atomic<int> failed{0};
  log->append({}, plain_record(1), [&](const Status& on_disk) { failed += on_disk ? 0 : 1; });
  EXPECT_FALSE(log->flush());
  EXPECT_EQ(failed, 1);
  EXPECT_FALSE(log->healthy());
  const auto slot = log->admit();
  ASSERT_FALSE(slot);
  EXPECT_EQ(slot.error().code, ErrorCode::kUnavailable);
  EXPECT_NE(log->stats().last_error.find(folder.files()[0].path.string()), std::string::npos);
  // Half a line must not stand in the file.
  EXPECT_EQ(types_of(folder), (std::vector<std::string>{"open", "checkpoint"}));
  limit.lift();
  while (!log->healthy()) std::this_thread::yield();
  EXPECT_TRUE(log->admit());
  ASSERT_TRUE(log->close());
  EXPECT_EQ(count_of(types_of(folder), "request"), 1U);
  EXPECT_EQ(log->stats().dropped, 0U);
}

TEST(AuditLog, with_warn_a_full_disk_admits_and_the_chain_tells_how_many_were_lost) {
  const LogFolder folder;
  LogOptions options = folder.options();
  options.on_failure = OnFailure::kWarn;
  options.queue_max = 3;
  const auto log = open_log(options);
  DiskLimit limit(std::filesystem::file_size(folder.files()[0].path) + 100);
  for (int i = 0; i < 5; ++i) {
    auto slot = log->admit();
    ASSERT_TRUE(slot);
    log->append(std::move(*slot), plain_record(i));
    (void)log->flush();
  }
  EXPECT_EQ(log->stats().dropped, 2U);
  limit.lift();
  while (!log->healthy()) std::this_thread::yield();
  ASSERT_TRUE(log->close());
  const auto types = types_of(folder);
  EXPECT_EQ(count_of(types, "request"), 3U);
  EXPECT_EQ(count_of(types, "dropped"), 1U);
}

TEST(AuditLog, a_log_that_cannot_be_written_at_its_end_says_what_was_lost) {
  const LogFolder folder;
  const auto log = open_log(folder.options());
  const DiskLimit limit(std::filesystem::file_size(folder.files()[0].path) + 100);
  log->append({}, plain_record(1));
  EXPECT_FALSE(log->close());
  EXPECT_EQ(log->stats().dropped, 1U);
}

TEST(AuditLog, refuses_a_folder_that_cannot_be_made) {
  const LogFolder folder;
  testing::write_text(folder.root() / "audit", "a file stands in the way");
  const auto log = Log::open(folder.options());
  ASSERT_FALSE(log);
  EXPECT_NE(log.error().message.find("audit"), std::string::npos);
}

}  // namespace
}  // namespace cove::audit
