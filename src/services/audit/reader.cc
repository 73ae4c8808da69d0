#include "services/audit/reader.h"

#include <fmt/format.h>

namespace cove::audit {
namespace {

bool is_of(const Caller& caller, const std::string& wanted) {
  const std::string user = "user:" + wanted;
  for (const std::string& name : {caller.id, caller.user}) {
    if (name == wanted || name == user) return true;
  }
  return caller.name == wanted;
}

bool selected(const ReadOptions& options, const Record& record) {
  if (record.time_ns < options.from_ns || record.time_ns >= options.to_ns) return false;
  return options.user.empty() || is_of(record.caller, options.user);
}

Status read_line(const ReadOptions& options, std::string_view text, const OnRecord& on_record) {
  TRY_ASSIGN(const Line line, parse_line(text));
  if (line.type != kRequestLine) return {};
  TRY_ASSIGN(const json::object content, parse_content(line));
  TRY_ASSIGN(StoredRecord stored, parse_record(content));
  return selected(options, stored.record) ? on_record(stored, text) : Status();
}

}  // namespace

Status read_records_of(const LogFile& file, const ReadOptions& options, const OnRecord& on_record) {
  TRY_ASSIGN(LineReader lines, LineReader::open(file.path));
  for (;;) {
    TRY_ASSIGN(const auto text, lines.next());
    if (!text) return {};
    if (Status read = read_line(options, *text, on_record); !read)
      return with_context(read.error(), fmt::format("{}:{}", file.path.string(), lines.number()));
  }
}

Status read_records(const ReadOptions& options, const OnRecord& on_record) {
  TRY_ASSIGN(const auto files, list_log_files(options.dir));
  for (const LogFile& file : files) TRY(read_records_of(file, options, on_record));
  return {};
}

}  // namespace cove::audit
