#include "services/audit/verifier.h"

#include <fmt/format.h>

#include "base/file.h"
#include "services/audit/append_file.h"
#include "services/audit/log_files.h"

namespace cove::audit {
namespace {

constexpr size_t kTornBytesMax = size_t{1} << 30;

// What a crash left is still where the chain says, and still the same.
void check_kept_file(const std::filesystem::path& dir, ChainChecker& checker) {
  const auto kept = checker.take_kept_file();
  if (!kept) return;
  if (kept->name.empty() || kept->name.find('/') != std::string::npos) return;
  const auto content = read_file(dir / kept->name, kTornBytesMax);
  if (!content) {
    checker.add_problem(ProblemKind::kRemoved,
                        fmt::format("what a crash left is not there: {}", content.error().message));
  } else if (to_hex(sha256(*content)) != kept->sha256) {
    checker.add_problem(ProblemKind::kEdited, fmt::format("{}, which a crash left, was changed", kept->name));
  }
}

}  // namespace

Result<VerifyReport> verify(const VerifyOptions& options) {
  VerifyReport report;
  TRY_ASSIGN(const auto files, list_log_files(options.dir));
  if (files.empty())
    return make_error(ErrorCode::kNotFound, fmt::format("{}: there is no audit log in it", options.dir.string()));
  // Asked before reading: a line that is incomplete now may be whole when the server has stopped.
  const bool written = FolderLock::is_taken(options.dir / kLockFile);
  uint64_t bytes_total = 0;
  for (const LogFile& file : files) {
    TRY_ASSIGN(const uint64_t bytes, bytes_of_file(file.path));
    bytes_total += bytes;
  }
  ChainChecker checker(options.check);
  constexpr uint64_t kTellEvery = 4096;
  for (const LogFile& file : files) {
    TRY_ASSIGN(LineReader reader, LineReader::open(file.path));
    checker.begin_file(file.path.filename().string(), file.number);
    while (true) {
      TRY_ASSIGN(const auto line, reader.next());
      if (!line) break;
      checker.add_line(*line);
      check_kept_file(options.dir, checker);
      if (options.progress && reader.number() % kTellEvery == 0)
        options.progress(report.bytes + reader.offset(), bytes_total);
    }
    const bool last = &file == &files.back();
    if (!reader.rest().empty()) {
      checker.add_incomplete(reader.rest().size(),
                             last && written ? ChainChecker::End::kBeingWritten : ChainChecker::End::kCutOff);
    }
    report.bytes += reader.offset() + reader.rest().size();
  }
  report.files = files.size();
  report.check = checker.finish();
  return report;
}

}  // namespace cove::audit
