#include "services/audit/chain_checker.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

namespace cove::audit {
namespace {

constexpr size_t kCandidatesMax = 16;
constexpr size_t kGapsMax = 1000;
constexpr size_t kNoProblem = static_cast<size_t>(-1);  // there are too many to keep

std::string range_text(uint64_t first, uint64_t last) {
  return first == last ? fmt::format("line {}", first) : fmt::format("lines {} to {}", first, last);
}

}  // namespace

std::string to_string(const Place& place) { return fmt::format("{}:{}", place.file, place.line); }

std::string_view to_string(ProblemKind kind) {
  switch (kind) {
    case ProblemKind::kEdited: return "edited";
    case ProblemKind::kReplaced: return "replaced";
    case ProblemKind::kRemoved: return "removed";
    case ProblemKind::kInserted: return "inserted";
    case ProblemKind::kReordered: return "reordered";
    case ProblemKind::kTruncated: return "truncated";
    case ProblemKind::kIncomplete: return "incomplete";
    case ProblemKind::kForged: return "forged";
    case ProblemKind::kUnsigned: return "unsigned";
    case ProblemKind::kForeign: return "foreign";
  }
  return "edited";
}

std::string to_string(const Problem& problem) {
  return fmt::format("{}: sequence {}: {}: {}", to_string(problem.place),
                     problem.sequence == problem.sequence_last
                         ? fmt::format("{}", problem.sequence)
                         : fmt::format("{}-{}", problem.sequence, problem.sequence_last),
                     to_string(problem.kind), problem.what);
}

ChainChecker::ChainChecker(CheckOptions options)
    : options_(std::move(options)), head_found_(options_.heads.size(), false) {}

size_t ChainChecker::report(ProblemKind kind, Place place, uint64_t sequence, std::string what) {
  ++report_.problems_total;
  if (problems_.size() >= kProblemsMax) return kNoProblem;
  problems_.push_back(Problem{.kind = kind,
                              .place = std::move(place),
                              .sequence = sequence,
                              .sequence_last = sequence,
                              .what = std::move(what)});
  return problems_.size() - 1;
}

// It turned out to be something else.
void ChainChecker::withdraw(size_t problem) {
  if (problem == kNoProblem || !problems_[problem]) return;
  problems_[problem].reset();
  --report_.problems_total;
}

void ChainChecker::add_note(std::string what) {
  if (report_.notes.size() < kProblemsMax) report_.notes.push_back({place_, std::move(what)});
}

void ChainChecker::add_problem(ProblemKind kind, std::string what) {
  report(kind, place_, expected_ == 0 ? 0 : expected_ - 1, std::move(what));
}

void ChainChecker::begin_file(std::string name, uint64_t number) {
  place_ = {.file = std::move(name), .line = 0};
  file_number_ = number;
  first_of_file_ = true;
}

// The present line is wrong, and only its place says which line it should be.
void ChainChecker::took_place(ProblemKind kind, std::string what) {
  if (expected_ == 0) expected_ = 1;
  if (report_.sequence_first == 0) report_.sequence_first = expected_;
  guessed_ = report(kind, place_, expected_, std::move(what));
  ++expected_;
  last_hash_.reset();
  last_place_ = place_;
  candidates_.clear();
}

void ChainChecker::add_line(std::string_view text) {
  ++place_.line;
  ++report_.lines;
  const auto line = parse_line(text);
  const bool first = std::exchange(first_of_file_, false);
  if (!line) return took_place(ProblemKind::kEdited, line.error().message);
  if (!line->intact()) {
    const uint64_t expected = expected_ == 0 ? line->sequence : expected_;
    const std::string what = "its content does not fit its hash";
    if (line->sequence == expected) {
      expected_ = expected;
      return took_place(ProblemKind::kEdited, what);
    }
    return took_place(ProblemKind::kEdited, fmt::format("{}, and it says that it is line {}", what, line->sequence));
  }
  if (first && line->type != kOpenLine)
    report(ProblemKind::kRemoved, place_, line->sequence, "the file does not begin with an 'open' line");
  check_heads(*line);
  check_order(*line);
}

void ChainChecker::check_order(const Line& line) {
  if (expected_ == 0) {
    expected_ = line.sequence;
    report_.sequence_first = line.sequence;
    if (line.sequence > 1 && options_.beginning == CheckOptions::Beginning::kPartial) {
      add_note(fmt::format("the log begins with line {}; what stood before was not checked", line.sequence));
    } else if (line.sequence > 1) {
      const size_t problem =
          report(ProblemKind::kRemoved, place_, 1,
                 fmt::format("{} missing at the beginning (--partial when they are archived "
                             "elsewhere)",
                             line.sequence == 2 ? "line 1 is" : fmt::format("lines 1 to {} are", line.sequence - 1)));
      if (problem != kNoProblem) problems_[problem]->sequence_last = line.sequence - 1;
    } else if (line.previous != Hash{}) {
      report(ProblemKind::kReplaced, place_, 1, "the first line says that it follows another");
    }
    return accept(line);
  }
  if (line.sequence == expected_) return expected_line(line);
  if (line.sequence > expected_) return early_line(line);
  late_line(line);
}

void ChainChecker::expected_line(const Line& line) {
  if (last_hash_ && line.previous != *last_hash_) {
    const auto truth = std::find_if(candidates_.begin(), candidates_.end(), [&](const Candidate& candidate) {
      return candidate.sequence + 1 == line.sequence && candidate.hash == line.previous;
    });
    if (truth == candidates_.end()) {
      report(ProblemKind::kReplaced, last_place_, line.sequence - 1,
             fmt::format("it fits its own hash, but {} (line {}) follows from another line {}", to_string(place_),
                         line.sequence, line.sequence - 1));
    } else {
      withdraw(truth->problem);
      report(
          ProblemKind::kInserted, last_place_, line.sequence - 1,
          fmt::format("it does not belong here: the true line {} is {}", line.sequence - 1, to_string(truth->place)));
    }
  }
  accept(line);
}

void ChainChecker::early_line(const Line& line) {
  const uint64_t last = line.sequence - 1;
  const bool one = expected_ == last;
  const size_t problem = report(ProblemKind::kRemoved, place_, expected_,
                                fmt::format("{} {} missing between {} and here", range_text(expected_, last),
                                            one ? "is" : "are", to_string(last_place_)));
  if (problem != kNoProblem) problems_[problem]->sequence_last = last;
  if (gaps_.size() < kGapsMax) {
    gaps_.push_back({.first = expected_,
                     .last = last,
                     .problem = problem,
                     .behind = place_,
                     .sequence = line.sequence,
                     .moved = {}});
  }
  accept(line);
}

void ChainChecker::late_line(const Line& line) {
  if (fill_gap(line)) return;
  if (guessed_ && line.sequence + 1 == expected_) {
    // What stood in its place was no line at all, and did not belong there.
    if (*guessed_ != kNoProblem) problems_[*guessed_]->kind = ProblemKind::kInserted;
    --expected_;
    last_hash_.reset();
    return accept(line);
  }
  const size_t problem =
      report(ProblemKind::kInserted, place_, line.sequence,
             fmt::format("line {} was there before; the chain has reached line {}", line.sequence, expected_ - 1));
  if (line.sequence + 1 == expected_ && candidates_.size() < kCandidatesMax)
    candidates_.push_back({.sequence = line.sequence, .hash = line.hash, .place = place_, .problem = problem});
}

// Whether the line is one that was missed before.
bool ChainChecker::fill_gap(const Line& line) {
  const auto gap = std::find_if(gaps_.begin(), gaps_.end(), [&](const Gap& candidate) {
    return candidate.first <= line.sequence && line.sequence <= candidate.last;
  });
  if (gap == gaps_.end()) return false;
  const size_t moved = report(ProblemKind::kReordered, place_, line.sequence,
                              fmt::format("line {} stands behind line {}", line.sequence, expected_ - 1));
  if (gap->moved.size() < kProblemsMax) gap->moved.push_back(moved);
  if (gap->first == line.sequence) {
    ++gap->first;
  } else if (gap->last == line.sequence) {
    --gap->last;
  } else if (gaps_.size() < kGapsMax) {
    // Lines are missing on both sides of it.
    Gap upper = *gap;
    upper.first = line.sequence + 1;
    upper.moved.clear();
    upper.problem = report(ProblemKind::kRemoved, gap->behind, upper.first, "");
    gap->last = line.sequence - 1;
    gaps_.push_back(upper);
    return true;
  }
  if (gap->first > gap->last) close_gap(gap);
  return true;
}

// Nothing is missing any more. If the lines came one after the other, it was not they that moved but the one before
// them.
void ChainChecker::close_gap(std::vector<Gap>::iterator gap) {
  withdraw(gap->problem);
  const size_t lines = gap->moved.size();
  if (lines > 1 && place_.file == gap->behind.file && place_.line == gap->behind.line + lines) {
    for (const size_t moved : gap->moved) withdraw(moved);
    report(ProblemKind::kReordered, gap->behind, gap->sequence,
           fmt::format("line {} stands before line {}", gap->sequence, gap->sequence - lines));
  }
  gaps_.erase(gap);
}

void ChainChecker::accept(const Line& line) {
  expected_ = line.sequence + 1;
  last_hash_ = line.hash;
  last_place_ = place_;
  guessed_.reset();
  candidates_.clear();
  report_.sequence_last = line.sequence;
  ++lines_unsigned_;
  check_content(line);
  // A start after a crash may add two lines to those that a checkpoint was due for.
  if (lines_unsigned_max_ > 0 && lines_unsigned_ == lines_unsigned_max_ + 3) {
    report(ProblemKind::kUnsigned, place_, line.sequence,
           fmt::format("there is no checkpoint in {} lines, but the log writes one every {}", lines_unsigned_,
                       lines_unsigned_max_));
  }
}

void ChainChecker::check_content(const Line& line) {
  if (line.type == kRequestLine) ++report_.requests;
  if (line.type == kOpenLine) check_open(line);
  if (line.type == kCheckpointLine) check_checkpoint(line);
  if (line.type == kRecoveredLine) check_recovered(line);
  if (line.type == kDroppedLine) {
    const auto object = parse_content(line);
    add_note(fmt::format("{} requests could not be recorded before this line",
                         object ? integer_member(*object, "records", 0) : 0));
  }
}

void ChainChecker::check_open(const Line& line) {
  const auto open = parse_open(line);
  if (!open) {
    report(ProblemKind::kForeign, place_, line.sequence, open.error().message);
    return;
  }
  if (open->file != file_number_) {
    report(ProblemKind::kReordered, place_, line.sequence,
           fmt::format("this is file {} of the log by its content, {} by its name", open->file, file_number_));
  }
  if (report_.log_id.empty()) report_.log_id = open->log_id;
  if (open->log_id != report_.log_id)
    report(ProblemKind::kForeign, place_, line.sequence, "the line is of another log");
  lines_unsigned_max_ = open->checkpoint_lines;
  Hash raw{};
  if (!read_hex(open->public_key, raw.data(), raw.size())) return;
  const bool known =
      std::any_of(own_keys_.begin(), own_keys_.end(), [&](const PublicKey& key) { return key.bytes() == raw; });
  if (known) return;
  if (auto key = PublicKey::from_bytes(raw)) own_keys_.push_back(std::move(*key));
}

const PublicKey* ChainChecker::signing_key(std::string_view id) const {
  const std::vector<PublicKey>& keys = options_.keys.empty() ? own_keys_ : options_.keys;
  const auto found = std::find_if(keys.begin(), keys.end(), [&](const PublicKey& key) { return key.id() == id; });
  return found == keys.end() ? nullptr : &*found;
}

void ChainChecker::check_checkpoint(const Line& line) {
  const uint64_t since = line.sequence - std::min(lines_unsigned_, line.sequence) + 1;
  lines_unsigned_ = 0;
  const auto object = parse_content(line);
  Signature signature{};
  int64_t time_ns = 0;
  const std::string_view time = object ? string_member(*object, "time_ns") : std::string_view();
  const auto [end, error] = std::from_chars(time.data(), time.data() + time.size(), time_ns);
  if (!object || error != std::errc() || !read_hex(string_member(*object, "signature"), signature.data(), 64)) {
    report(ProblemKind::kForged, place_, line.sequence, "the checkpoint has no signature");
    return;
  }
  const std::string_view id = string_member(*object, "key");
  const PublicKey* key = signing_key(id);
  if (key == nullptr) {
    report(ProblemKind::kForged, place_, line.sequence,
           fmt::format("the checkpoint is signed with key {}, which is none of those {}", id,
                       options_.keys.empty() ? "that the log names" : "given"));
    return;
  }
  const CheckpointFields fields{.log_id = string_member(*object, "log"),
                                .sequence = line.sequence,
                                .previous = line.previous,
                                .time_ns = time_ns};
  if (!key->verifies(checkpoint_message(fields), signature)) {
    report(ProblemKind::kForged, place_, line.sequence,
           fmt::format("the signature does not fit: somebody without the key made this checkpoint; {} may have been "
                       "rewritten",
                       range_text(since, line.sequence)));
    return;
  }
  if (!report_.log_id.empty() && fields.log_id != report_.log_id) {
    report(ProblemKind::kForeign, place_, line.sequence, "the checkpoint is of another log");
    return;
  }
  ++report_.checkpoints;
  report_.sequence_signed = line.sequence;
  report_.key_id = id;
}

void ChainChecker::check_recovered(const Line& line) {
  const auto object = parse_content(line);
  if (!object) return;
  kept_file_ = KeptFile{std::string(string_member(*object, "kept_in")), std::string(string_member(*object, "sha256"))};
  add_note(fmt::format("a crash left {} bytes of a line that was not complete; they are kept in {}",
                       integer_member(*object, "bytes", 0), kept_file_->name));
}

void ChainChecker::check_heads(const Line& line) {
  for (size_t i = 0; i < options_.heads.size(); ++i) {
    const Head& head = options_.heads[i];
    if (head.sequence != line.sequence || head_found_[i]) continue;
    head_found_[i] = true;
    if (head.hash != line.hash) {
      report(ProblemKind::kReplaced, place_, line.sequence,
             fmt::format("it is not the line that it was when the head of {} was saved", head.time));
    }
  }
}

void ChainChecker::add_incomplete(size_t bytes, End end) {
  ++place_.line;
  if (end == End::kBeingWritten) {
    add_note(fmt::format("the last {} bytes are no whole line: the server is writing it", bytes));
    return;
  }
  report(ProblemKind::kIncomplete, place_, expected_ == 0 ? 1 : expected_,
         fmt::format(
             "the file ends with {} bytes that are no whole line: a crash, which the next start of the server notes "
             "in the log, or somebody cut it off",
             bytes));
}

CheckReport ChainChecker::finish() {
  for (size_t i = 0; i < options_.heads.size(); ++i) {
    const Head& head = options_.heads[i];
    if (!report_.log_id.empty() && head.log_id != report_.log_id) {
      report(ProblemKind::kForeign, place_, head.sequence,
             fmt::format("the head of {} was saved from another log, {}", head.time, head.log_id));
    } else if (!head_found_[i] && head.sequence >= expected_) {
      const uint64_t first = std::max<uint64_t>(1, expected_);
      const size_t problem =
          report(ProblemKind::kTruncated, last_place_, first,
                 fmt::format("the log ends here with line {}, but the head of {} is line {}: {} missing", first - 1,
                             head.time, head.sequence,
                             first == head.sequence ? fmt::format("line {} is", first)
                                                    : fmt::format("lines {} to {} are", first, head.sequence)));
      if (problem != kNoProblem) problems_[problem]->sequence_last = head.sequence;
    }
  }
  for (const Gap& gap : gaps_) {
    if (gap.problem == kNoProblem || !problems_[gap.problem]) continue;
    Problem& problem = *problems_[gap.problem];
    problem.sequence = gap.first;
    problem.sequence_last = gap.last;
    if (!gap.moved.empty() || problem.what.empty())
      problem.what = fmt::format("{} missing before here",
                                 range_text(gap.first, gap.last) + (gap.first == gap.last ? " is" : " are"));
  }
  for (auto& problem : problems_) {
    if (problem) report_.problems.push_back(std::move(*problem));
  }
  return std::move(report_);
}

}  // namespace cove::audit
