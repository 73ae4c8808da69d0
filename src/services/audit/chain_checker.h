#pragma once
// Finds what was done to a log: fed with its lines in the order of the files, it names every line that was edited,
// removed, inserted, moved or replaced, checkpoints with a wrong signature, and saved heads that the log does not
// reach. Needs no more memory for a longer log.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "services/audit/head.h"
#include "services/audit/keys.h"
#include "services/audit/line.h"

namespace cove::audit {

struct Place {
  std::string file;  // its name
  uint64_t line = 0;
};
std::string to_string(const Place& place);  // "audit-000001-2026-11-29.jsonl:12"

enum class ProblemKind : uint8_t {
  kEdited,      // content and hash do not fit
  kReplaced,    // they fit, but the next line follows from another
  kRemoved,     // lines that should be there are not
  kInserted,    // a line that does not belong there
  kReordered,   // a line at the wrong place
  kTruncated,   // the log ends before a saved head
  kIncomplete,  // half a line at the end
  kForged,      // a checkpoint that the key did not sign
  kUnsigned,    // more lines without a checkpoint than the log writes
  kForeign,     // of another log
};
std::string_view to_string(ProblemKind kind);

struct Problem {
  ProblemKind kind = ProblemKind::kEdited;
  Place place;
  uint64_t sequence = 0;       // the line in question; of several, the first
  uint64_t sequence_last = 0;  // the last
  std::string what;
};
std::string to_string(const Problem& problem);  // "FILE:LINE: sequence N: edited: ..."

struct Note {
  Place place;
  std::string what;
};

struct CheckReport {
  std::vector<Problem> problems;  // at most kProblemsMax, in the order of the log
  uint64_t problems_total = 0;
  std::vector<Note> notes;  // true, worth knowing, but no sign of a change; at most kProblemsMax
  uint64_t lines = 0;
  uint64_t requests = 0;
  uint64_t checkpoints = 0;      // whose signature is right
  uint64_t sequence_first = 0;   // 0 = there is no line
  uint64_t sequence_last = 0;    // of the chain
  uint64_t sequence_signed = 0;  // the last that a right checkpoint signs
  std::string log_id;
  std::string key_id;  // that signed
};
inline constexpr size_t kProblemsMax = 1000;

struct CheckOptions {
  std::vector<PublicKey> keys{};  // empty = the one that the log itself names
  std::vector<Head> heads{};
  enum class Beginning : uint8_t { kWhole, kPartial } beginning = Beginning::kWhole;  // earlier files may be elsewhere
};

class ChainChecker {
 public:
  explicit ChainChecker(CheckOptions options);
  // Before the lines of a file. `number` is the one in its name.
  void begin_file(std::string name, uint64_t number);
  void add_line(std::string_view text);  // without newline
  // What a file ends with when that is no whole line.
  enum class End : uint8_t { kBeingWritten, kCutOff };
  void add_incomplete(size_t bytes, End end);
  void add_note(std::string what);
  void add_problem(ProblemKind kind, std::string what);  // at the present line
  CheckReport finish();

  // Of the present line, when it is a "recovered" one: which file should hold what, for the caller to look.
  struct KeptFile {
    std::string name;
    std::string sha256;
  };
  std::optional<KeptFile> take_kept_file() { return std::exchange(kept_file_, std::nullopt); }

 private:
  struct Candidate {  // may be the true line of its number
    uint64_t sequence = 0;
    Hash hash{};
    Place place;
    size_t problem = 0;  // that told of it
  };
  struct Gap {
    uint64_t first = 0;
    uint64_t last = 0;
    size_t problem = 0;
    Place behind;               // the line that came too early
    uint64_t sequence = 0;      // its number
    std::vector<size_t> moved;  // problems of those that came after all
  };

  size_t report(ProblemKind kind, Place place, uint64_t sequence, std::string what);
  void withdraw(size_t problem);
  void took_place(ProblemKind kind, std::string what);
  void check_order(const Line& line);
  void expected_line(const Line& line);
  void early_line(const Line& line);
  void late_line(const Line& line);
  bool fill_gap(const Line& line);
  void close_gap(std::vector<Gap>::iterator gap);
  void accept(const Line& line);
  void check_content(const Line& line);
  void check_open(const Line& line);
  void check_checkpoint(const Line& line);
  void check_recovered(const Line& line);
  void check_heads(const Line& line);
  const PublicKey* signing_key(std::string_view id) const;

  CheckOptions options_;
  CheckReport report_;
  std::vector<std::optional<Problem>> problems_;
  Place place_;  // of the present line
  uint64_t file_number_ = 0;
  bool first_of_file_ = false;

  uint64_t expected_ = 0;          // 0 = nothing came yet
  std::optional<Hash> last_hash_;  // nothing: the last line is known to be wrong, so that any may follow
  Place last_place_;
  std::optional<size_t> guessed_;  // problem of the last line, of which only its place said its number
  std::vector<Candidate> candidates_;
  std::vector<Gap> gaps_;
  std::vector<PublicKey> own_keys_;  // named by "open" lines
  std::vector<bool> head_found_;
  uint64_t lines_unsigned_ = 0;
  uint64_t lines_unsigned_max_ = 0;
  std::optional<KeptFile> kept_file_;
};

}  // namespace cove::audit
