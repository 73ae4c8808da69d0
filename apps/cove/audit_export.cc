// cove audit export: records of a period and a user for a spreadsheet or another program.
#include <cerrno>
#include <cstdio>
#include <cstring>

#include <fmt/format.h>

#include "audit_commands.h"
#include "services/audit/export.h"
#include "services/audit/line.h"
#include "services/audit/reader.h"

namespace cove::app {
namespace {

constexpr const char* kName = "audit export";

struct ExportFlags {
  AuditFlags audit;
  std::optional<std::string> from;
  std::optional<std::string> to;
  std::string user;
  std::string format = "csv";
  std::optional<std::string> output;
};

// Standard output, or a file that only its owner may read.
class Output {
 public:
  explicit Output(const std::optional<std::string>& path) : path_(path.value_or("standard output")) {
    file_ = path ? std::fopen(path->c_str(), "wxe") : stdout;
  }
  ~Output() {
    if (file_ != nullptr && file_ != stdout) std::fclose(file_);
  }
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;

  Status write(std::string_view text) {
    if (file_ != nullptr && std::fwrite(text.data(), 1, text.size(), file_) == text.size()) return {};
    return failed();
  }
  Status finish() {
    if (file_ != nullptr && std::fflush(file_) == 0) return {};
    return failed();
  }

 private:
  Error failed() const {
    return make_error(ErrorCode::kIo, fmt::format("{}: cannot write: {}", path_, std::strerror(errno)));
  }
  std::string path_;
  std::FILE* file_ = nullptr;
};

Status export_csv(const audit::ReadOptions& read, Output& out) {
  TRY(out.write(audit::csv_header()));
  return audit::read_records(read, [&](audit::StoredRecord& stored, std::string_view text) -> Status {
    TRY_ASSIGN(const audit::Line line, audit::parse_line(text));
    return out.write(audit::csv_row(line.sequence, stored.record));
  });
}

// The lines as they stand in the log, so that each can be found again by its number and hash.
Status export_json(const audit::ReadOptions& read, Output& out) {
  TRY(out.write("["));
  const char* before = "\n";
  const Status status = audit::read_records(read, [&](audit::StoredRecord&, std::string_view text) -> Status {
    TRY(out.write(before));
    before = ",\n";
    return out.write(text);
  });
  if (!status) return status;
  return out.write("\n]\n");
}

Status export_lines(const audit::ReadOptions& read, Output& out) {
  return audit::read_records(read, [&](audit::StoredRecord&, std::string_view text) -> Status {
    TRY(out.write(text));
    return out.write("\n");
  });
}

Status run_export(const ExportFlags& flags) {
  audit::ReadOptions read;
  TRY_ASSIGN(read.dir, audit_dir(flags.audit));
  read.user = flags.user;
  if (flags.from) {
    TRY_ASSIGN(read.from_ns, audit::parse_time(*flags.from));
  }
  if (flags.to) {
    TRY_ASSIGN(read.to_ns, audit::parse_time(*flags.to));
  }
  if (read.to_ns <= read.from_ns) return invalid_argument("--to must be later than --from");
  Output out(flags.output);
  if (flags.format == "csv") {
    TRY(export_csv(read, out));
  } else if (flags.format == "json") {
    TRY(export_json(read, out));
  } else {
    TRY(export_lines(read, out));
  }
  return out.finish();
}

}  // namespace

int run_audit_export(int argc, const char* const* argv) {
  ExportFlags wanted;
  Flags flags(kName, "Writes the records of a period and a user. It does not check them: 'cove audit verify' does.");
  add_audit_flags(flags, wanted.audit);
  flags.add("--from", wanted.from, "from this day or moment (UTC), included: 2026-11-29, 2026-11-29T05:30:00");
  flags.add("--to", wanted.to, "to this day or moment, excluded");
  flags.add("--user", wanted.user, "only this user's or key's: alice, user:alice, key:7, or a key's name");
  flags.add("--format", wanted.format, "csv (default), json (one array) or jsonl (one line each)");
  flags.add("-o,--output", wanted.output, "a new file; without it, standard output");
  flags.footer(
      "example:\n  cove audit export --from 2026-11-01 --to 2026-12-01 --user alice --format csv -o alice.csv");
  if (const auto code = flags.parse(argc, argv)) return *code;
  if (wanted.format != "csv" && wanted.format != "json" && wanted.format != "jsonl") {
    fmt::print(stderr, "cove {}: --format is csv, json or jsonl\n", kName);
    return kWrongUsage;
  }
  const Status status = run_export(wanted);
  return status ? kDone : fail(kName, status.error().message);
}

}  // namespace cove::app
