// Lines of an audit log as anybody may have changed them: the checker, the reader and the head must take all of it. A
// line that is written by us reads back the same.
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "services/audit/chain_checker.h"
#include "services/audit/export.h"
#include "services/audit/record_json.h"

using namespace cove;
using namespace cove::audit;

namespace {

void read_back(const Line& line) {
  const auto content = parse_content(line);
  if (!content) return;
  (void)parse_open(line);
  const auto stored = parse_record(*content);
  if (!stored) return;
  (void)csv_row(line.sequence, stored->record);
  (void)summary_line(stored->record);
  std::string once;
  append_record(once, stored->record, {.form = PromptForm::kFull});
  const auto parsed = parse_json("{" + once.substr(1) + "}");
  COVE_CHECK_MSG(parsed.has_value(), once.c_str());
  const auto again = parse_record(parsed->as_object());
  COVE_CHECK(again.has_value());
  std::string twice;
  append_record(twice, again->record, {.form = PromptForm::kFull});
  COVE_CHECK(once == twice);
}

// As an attacker does who makes the hashes fit: so that what stands behind them is reached as well.
std::string sealed(std::string_view content) {
  std::string line(content);
  const Hash hash = sha256(content);
  line += R"(,"hash":")" + to_hex(hash) + R"("})";
  return line;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)parse_heads(text);
  (void)PublicKey::from_text(text);
  ChainChecker checker({});
  checker.begin_file("audit-000001-2026-11-29.jsonl", 1);
  while (!text.empty()) {
    const size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line == "file") {
      checker.begin_file("audit-000002-2026-11-29.jsonl", 2);
      continue;
    }
    const auto parsed = parse_line(line);
    const std::string fitting = parsed ? sealed(parsed->content) : std::string(line);
    checker.add_line(fitting);
    (void)checker.take_kept_file();
    if (parsed) read_back(*parsed);
  }
  checker.add_incomplete(size, ChainChecker::End::kCutOff);
  const CheckReport report = checker.finish();
  COVE_CHECK(report.problems.size() <= kProblemsMax && report.problems.size() <= report.problems_total);
  for (const Problem& problem : report.problems) COVE_CHECK(!to_string(problem).empty());
  return 0;
}
