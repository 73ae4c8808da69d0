// cove audit verify: whether anything was done to the log, offline, by the files and a public key alone.
#include <cstdio>
#include <optional>

#include <fmt/format.h>
#include <boost/json.hpp>

#include "audit_commands.h"
#include "base/file.h"
#include "progress.h"
#include "services/audit/verifier.h"

namespace cove::app {
namespace {

constexpr const char* kName = "audit verify";
constexpr size_t kKeyBytesMax = 4096;
constexpr size_t kHeadsBytesMax = size_t{64} << 20;

struct VerifyFlags {
  AuditFlags audit;
  std::vector<std::string> public_keys;
  std::vector<std::string> heads;
  bool partial = false;
  bool json = false;
};

Result<audit::CheckOptions> check_options(const VerifyFlags& flags) {
  audit::CheckOptions options;
  for (const std::string& path : flags.public_keys) {
    TRY_ASSIGN(const std::string text, read_file(path, kKeyBytesMax));
    auto key = audit::PublicKey::from_text(text);
    if (!key) return with_context(key.error(), path);
    options.keys.push_back(std::move(*key));
  }
  for (const std::string& path : flags.heads) {
    TRY_ASSIGN(const std::string text, read_file(path, kHeadsBytesMax));
    auto heads = audit::parse_heads(text);
    if (!heads) return with_context(heads.error(), path);
    for (audit::Head& head : *heads) options.heads.push_back(std::move(head));
  }
  if (flags.partial) options.beginning = audit::CheckOptions::Beginning::kPartial;
  return options;
}

Result<audit::VerifyReport> run_verify(const VerifyFlags& flags) {
  audit::VerifyOptions options;
  TRY_ASSIGN(options.dir, audit_dir(flags.audit));
  TRY_ASSIGN(options.check, check_options(flags));
  std::optional<Progress> progress;
  options.progress = [&](uint64_t done, uint64_t total) {
    if (!progress) progress.emplace("verifying", total);
    progress->at(done);
  };
  return audit::verify(options);
}

json::object to_json(const audit::Problem& problem) {
  return {{"kind", audit::to_string(problem.kind)},
          {"file", problem.place.file},
          {"line", problem.place.line},
          {"sequence", problem.sequence},
          {"sequence_last", problem.sequence_last},
          {"what", problem.what}};
}

void print_json(const audit::VerifyReport& report) {
  const audit::CheckReport& check = report.check;
  json::array problems;
  for (const audit::Problem& problem : check.problems) problems.push_back(to_json(problem));
  json::array notes;
  for (const audit::Note& note : check.notes)
    notes.push_back({{"file", note.place.file}, {"line", note.place.line}, {"what", note.what}});
  const json::object out{{"intact", check.problems_total == 0},
                         {"problems", std::move(problems)},
                         {"problems_total", check.problems_total},
                         {"notes", std::move(notes)},
                         {"log", check.log_id},
                         {"key", check.key_id},
                         {"files", report.files},
                         {"bytes", report.bytes},
                         {"lines", check.lines},
                         {"requests", check.requests},
                         {"checkpoints", check.checkpoints},
                         {"sequence_first", check.sequence_first},
                         {"sequence_last", check.sequence_last},
                         {"sequence_signed", check.sequence_signed}};
  fmt::print("{}\n", json::serialize(out));
}

void print_text(const audit::VerifyReport& report, const VerifyFlags& flags) {
  const audit::CheckReport& check = report.check;
  for (const audit::Problem& problem : check.problems) fmt::print("{}\n", audit::to_string(problem));
  if (check.problems_total > check.problems.size())
    fmt::print("... and {} more\n", check.problems_total - check.problems.size());
  for (const audit::Note& note : check.notes) fmt::print("{}: note: {}\n", audit::to_string(note.place), note.what);
  fmt::print("{}: {} lines in {} files, {} of them requests, {} signed checkpoints; line {} to {}\n",
             check.problems_total == 0 ? "intact" : fmt::format("{} problems", check.problems_total), check.lines,
             report.files, check.requests, check.checkpoints, check.sequence_first, check.sequence_last);
  if (check.sequence_signed < check.sequence_last) {
    fmt::print("the last {} lines are not signed yet: only a saved head (--head) can tell whether they were changed\n",
               check.sequence_last - check.sequence_signed);
  }
  if (flags.public_keys.empty()) {
    fmt::print("the signatures fit key {}, which the log itself names; --public-key FILE shows that it is yours\n",
               check.key_id.empty() ? "-" : check.key_id);
  }
  if (flags.heads.empty()) fmt::print("whether the end was cut off shows only with a saved head (--head)\n");
}

}  // namespace

int run_audit_verify(int argc, const char* const* argv) {
  VerifyFlags verify;
  Flags flags(
      kName,
      "Checks every line of the audit log against its hash, the line before it and the signed checkpoints. Names "
      "each line that was edited, replaced, removed, inserted or moved. Exit code 1 when there is one.");
  add_audit_flags(flags, verify.audit);
  flags.add("--public-key", verify.public_keys,
            "the key that must have signed, from 'cove audit key'; may be repeated");
  flags.add("--head", verify.heads, "heads saved earlier, from 'cove audit head': shows whether the end was cut off");
  flags.add_switch("--partial", verify.partial, "the first files are archived elsewhere");
  flags.add_switch("--json", verify.json, "print JSON");
  flags.footer(
      "examples:\n  cove audit verify\n  cove audit verify --dir /mnt/copy/audit --public-key cove-audit.pub --head "
      "heads.jsonl");
  if (const auto code = flags.parse(argc, argv)) return *code;
  const auto report = run_verify(verify);
  if (!report) return fail(kName, report.error().message);
  if (verify.json) {
    print_json(*report);
  } else {
    print_text(*report, verify);
  }
  return report->check.problems_total == 0 ? kDone : kCouldNot;
}

}  // namespace cove::app
