#pragma once
// The files of a log: "audit-000003-2026-11-29.jsonl", numbered in the order of the chain; the day (UTC) is when the
// file was begun. Beside them: "audit.lock", held by the one process that writes, "cove-audit.pub", and what crashes
// left
// ("audit-000003-torn-117.bin").

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "services/audit/line.h"

namespace cove::audit {

inline constexpr const char* kPublicKeyFile = "cove-audit.pub";
inline constexpr const char* kLockFile = "audit.lock";

struct LogFile {
  uint64_t number = 0;
  std::filesystem::path path;
};

std::string log_file_name(uint64_t number, int64_t time_ns);
std::string torn_file_name(uint64_t number, uint64_t sequence);
std::optional<uint64_t> parse_log_file_name(std::string_view name);
// By number. Errors: kNotFound when there is no such folder, kDataCorrupt when two files have one number.
Result<std::vector<LogFile>> list_log_files(const std::filesystem::path& dir);

// Reads a file line by line; keeps the longest line in memory, not the file, which may grow and be cut meanwhile.
class LineReader {
 public:
  static Result<LineReader> open(const std::filesystem::path& path);

  // The next line without its newline, valid until the next call; nothing at the end or behind the last newline.
  // Errors: kIo.
  Result<std::optional<std::string_view>> next();
  uint64_t number() const { return number_; }  // of the line that next() gave; the first is 1
  uint64_t offset() const { return offset_; }  // behind it
  // After the end: what stands behind the last newline.
  std::string_view rest() const { return std::string_view(buffer_).substr(begin_); }
  // A file that grows: next() looks again.
  void look_again() { ended_ = false; }

 private:
  explicit LineReader(std::ifstream file, std::filesystem::path path)
      : file_(std::move(file)), path_(std::move(path)) {}
  Status fill();

  std::ifstream file_;
  std::filesystem::path path_;
  std::string buffer_;
  size_t begin_ = 0;     // of what next() has not given
  size_t searched_ = 0;  // no newline in [begin_, searched_)
  uint64_t number_ = 0;
  uint64_t offset_ = 0;
  bool ended_ = false;
};

// Where a chain goes on.
struct Tail {
  ChainState state;
  uint64_t good_bytes = 0;  // of the last file; what stands behind is torn
  std::string torn;         // empty = none
  OpenFields open;          // of the file's last "open" line
  uint64_t lines_unsigned = 0;
};
// Checks the last file's own chain from its first line to its last. Errors: kDataCorrupt naming file and line when a
// whole line is wrong, which no crash does.
Result<Tail> read_tail(const LogFile& file);

}  // namespace cove::audit
