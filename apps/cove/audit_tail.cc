// cove audit tail: the last records, and with -f those that come.
#include <chrono>
#include <cstdio>
#include <deque>
#include <thread>

#include <fmt/format.h>

#include "audit_commands.h"
#include "services/audit/export.h"
#include "services/audit/line.h"
#include "services/audit/log_files.h"
#include "services/audit/record_json.h"

namespace cove::app {
namespace {

constexpr const char* kName = "audit tail";
constexpr int64_t kRecordsMax = 1'000'000;
constexpr std::chrono::milliseconds kPoll{200};

struct TailFlags {
  AuditFlags audit;
  int64_t count = 10;
  bool follow = false;
  bool json = false;
};

bool is_record(std::string_view text) {
  const auto line = audit::parse_line(text);
  return line && line->type == audit::kRequestLine;
}

Status print_record(std::string_view text, const TailFlags& flags) {
  if (flags.json) {
    fmt::print("{}\n", text);
  } else {
    TRY_ASSIGN(const audit::Line line, audit::parse_line(text));
    TRY_ASSIGN(const json::object object, audit::parse_content(line));
    TRY_ASSIGN(const audit::StoredRecord stored, audit::parse_record(object));
    fmt::print("{}\n", audit::summary_line(stored.record));
  }
  if (std::fflush(stdout) != 0) return make_error(ErrorCode::kIo, "standard output is closed");
  return {};
}

// The last records of one file, the oldest first; `reader` is left at its end.
Result<std::deque<std::string>> last_records(audit::LineReader& reader, size_t count) {
  std::deque<std::string> records;
  while (true) {
    TRY_ASSIGN(const auto text, reader.next());
    if (!text) return records;
    if (!is_record(*text)) continue;
    records.emplace_back(*text);
    if (records.size() > count) records.pop_front();
  }
}

Status print_last(const std::vector<audit::LogFile>& files, audit::LineReader& newest, const TailFlags& flags) {
  const auto count = static_cast<size_t>(flags.count);
  TRY_ASSIGN(auto records, last_records(newest, count));
  for (size_t i = files.size() - 1; i-- > 0 && records.size() < count;) {
    TRY_ASSIGN(audit::LineReader reader, audit::LineReader::open(files[i].path));
    TRY_ASSIGN(const auto earlier, last_records(reader, count - records.size()));
    records.insert(records.begin(), earlier.begin(), earlier.end());
  }
  for (const std::string& text : records) TRY(print_record(text, flags));
  return {};
}

Status print_new(audit::LineReader& reader, const TailFlags& flags) {
  reader.look_again();
  while (true) {
    TRY_ASSIGN(const auto text, reader.next());
    if (!text) return {};
    if (is_record(*text)) TRY(print_record(*text, flags));
  }
}

// Until it is interrupted.
Status follow(const std::filesystem::path& dir, audit::LogFile file, audit::LineReader reader, const TailFlags& flags) {
  while (true) {
    TRY_ASSIGN(const auto files, audit::list_log_files(dir));
    TRY(print_new(reader, flags));  // a file is complete once there is a later one
    bool moved = false;
    for (const audit::LogFile& later : files) {
      if (later.number <= file.number) continue;
      TRY_ASSIGN(reader, audit::LineReader::open(later.path));
      file = later;
      moved = true;
      break;
    }
    if (!moved) std::this_thread::sleep_for(kPoll);
  }
}

Status run_tail(const TailFlags& flags) {
  TRY_ASSIGN(const std::filesystem::path dir, audit_dir(flags.audit));
  TRY_ASSIGN(const auto files, audit::list_log_files(dir));
  if (files.empty())
    return make_error(ErrorCode::kNotFound, fmt::format("{}: there is no audit log in it", dir.string()));
  TRY_ASSIGN(audit::LineReader newest, audit::LineReader::open(files.back().path));
  TRY(print_last(files, newest, flags));
  return flags.follow ? follow(dir, files.back(), std::move(newest), flags) : Status();
}

}  // namespace

int run_audit_tail(int argc, const char* const* argv) {
  TailFlags tail;
  Flags flags(kName, "Prints the last records of the audit log.");
  add_audit_flags(flags, tail.audit);
  flags.add("-n,--lines", tail.count, "how many (default: 10)");
  flags.add_switch("-f,--follow", tail.follow, "go on with those that come");
  flags.add_switch("--json", tail.json, "print the lines as they stand in the log");
  if (const auto code = flags.parse(argc, argv)) return *code;
  if (tail.count < 0 || tail.count > kRecordsMax) {
    fmt::print(stderr, "cove {}: -n is 0 to {}\n", kName, kRecordsMax);
    return kWrongUsage;
  }
  const Status status = run_tail(tail);
  return status ? kDone : fail(kName, status.error().message);
}

}  // namespace cove::app
