#include "services/audit/log_files.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <iterator>

#include <fmt/format.h>

namespace cove::audit {
namespace {

constexpr std::string_view kPrefix = "audit-";
constexpr std::string_view kSuffix = ".jsonl";
constexpr size_t kDayDigits = 10;

Error damaged(const LogFile& file, uint64_t line, std::string_view what) {
  return data_corrupt(
      fmt::format("{}:{}: {}; 'cove audit verify' tells more. Keep the folder and let a new log begin: "
                  "move it away, or set another audit.dir",
                  file.path.string(), line, what));
}

// The part behind the last good line: a crash leaves a line without end, or (where the file system had not yet written
// the bytes) zeros.
bool is_torn(std::string_view rest) {
  return rest.find('\n') == std::string_view::npos || rest.find('\0') != std::string_view::npos;
}

}  // namespace

std::string log_file_name(uint64_t number, int64_t time_ns) {
  return fmt::format("{}{:06}-{}{}", kPrefix, number, time_text(time_ns).substr(0, kDayDigits), kSuffix);
}

std::string torn_file_name(uint64_t number, uint64_t sequence) {
  return fmt::format("{}{:06}-torn-{}.bin", kPrefix, number, sequence);
}

std::optional<uint64_t> parse_log_file_name(std::string_view name) {
  if (!name.starts_with(kPrefix) || !name.ends_with(kSuffix)) return std::nullopt;
  name = name.substr(kPrefix.size(), name.size() - kPrefix.size() - kSuffix.size());
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  const size_t digits = static_cast<size_t>(end - name.data());
  if (error != std::errc() || digits < 6 || number == 0 || name.size() != digits + 1 + kDayDigits ||
      name[digits] != '-')
    return std::nullopt;
  return number;
}

Result<std::vector<LogFile>> list_log_files(const std::filesystem::path& dir) {
  std::error_code error;
  std::filesystem::directory_iterator entries(dir, error);
  if (error) {
    return make_error(error == std::errc::no_such_file_or_directory ? ErrorCode::kNotFound : ErrorCode::kIo,
                      fmt::format("{}: cannot list: {}", dir.string(), error.message()));
  }
  std::vector<LogFile> files;
  for (; entries != std::filesystem::directory_iterator(); entries.increment(error)) {
    if (error) return make_error(ErrorCode::kIo, fmt::format("{}: cannot list: {}", dir.string(), error.message()));
    if (const auto number = parse_log_file_name(entries->path().filename().string()))
      files.push_back({*number, entries->path()});
  }
  std::sort(files.begin(), files.end(), [](const LogFile& a, const LogFile& b) { return a.number < b.number; });
  for (size_t i = 1; i < files.size(); ++i) {
    if (files[i].number == files[i - 1].number) {
      return data_corrupt(fmt::format("{} and {} have the same number; one of them does not belong to this log",
                                      files[i - 1].path.string(), files[i].path.filename().string()));
    }
  }
  return files;
}

Result<LineReader> LineReader::open(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return make_error(ErrorCode::kIo, fmt::format("{}: cannot open: {}", path.string(), std::strerror(errno)));
  return LineReader(std::move(file), path);
}

// Reads on, after making room.
Status LineReader::fill() {
  constexpr size_t kChunkBytes = size_t{1} << 18;
  buffer_.erase(0, begin_);
  searched_ -= begin_;
  begin_ = 0;
  const size_t had = buffer_.size();
  buffer_.resize(had + kChunkBytes);
  file_.clear();
  file_.read(buffer_.data() + had, static_cast<std::streamsize>(kChunkBytes));
  const auto got = static_cast<size_t>(file_.gcount());
  buffer_.resize(had + got);
  ended_ = got == 0;
  if (file_.bad()) return make_error(ErrorCode::kIo, fmt::format("{}: cannot read", path_.string()));
  return {};
}

Result<std::optional<std::string_view>> LineReader::next() {
  size_t end = buffer_.find('\n', searched_);
  while (end == std::string::npos && !ended_) {
    searched_ = buffer_.size();
    TRY(fill());
    end = buffer_.find('\n', searched_);
  }
  searched_ = end == std::string::npos ? buffer_.size() : end + 1;
  if (end == std::string::npos) return std::optional<std::string_view>();
  const std::string_view line = std::string_view(buffer_).substr(begin_, end - begin_);
  begin_ = end + 1;
  offset_ += line.size() + 1;
  ++number_;
  return std::optional(line);
}

namespace {

// Checks that `line` continues the chain, and takes it.
Status take_line(const LogFile& file, uint64_t number, const Line& line, Tail& tail) {
  const bool first = tail.good_bytes == 0;
  if (first && line.type != kOpenLine) return damaged(file, 1, "the file does not begin with an 'open' line");
  if (!first && (line.previous != tail.state.hash || line.sequence != tail.state.sequence + 1))
    return damaged(file, number, "the line does not follow from the one before");
  if (line.type == kOpenLine) {
    TRY_ASSIGN(tail.open, parse_open(line));
  }
  tail.state = {.sequence = line.sequence, .hash = line.hash};
  tail.lines_unsigned = line.type == kCheckpointLine ? 0 : tail.lines_unsigned + 1;
  return {};
}

Result<std::string> read_from(const std::filesystem::path& path, uint64_t offset) {
  std::ifstream in(path, std::ios::binary);
  in.seekg(static_cast<std::streamoff>(offset));
  std::string text{std::istreambuf_iterator<char>(in), {}};
  if (in.bad()) return make_error(ErrorCode::kIo, fmt::format("{}: cannot read", path.string()));
  return text;
}

}  // namespace

Result<Tail> read_tail(const LogFile& file) {
  TRY_ASSIGN(LineReader reader, LineReader::open(file.path));
  Tail tail;
  while (true) {
    TRY_ASSIGN(const auto text, reader.next());
    if (!text) break;
    const auto line = parse_line(*text);
    if (!line || !line->intact()) {
      TRY_ASSIGN(tail.torn, read_from(file.path, tail.good_bytes));
      if (is_torn(tail.torn)) return tail;
      return damaged(file, reader.number(), line ? "the line was changed" : line.error().message);
    }
    TRY(take_line(file, reader.number(), *line, tail));
    tail.good_bytes = reader.offset();
  }
  tail.torn = reader.rest();
  return tail;
}

}  // namespace cove::audit
