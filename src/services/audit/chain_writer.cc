#include "services/audit/chain_writer.h"

#include <chrono>
#include <utility>

#include <fmt/format.h>
#include <openssl/rand.h>

#include "base/check.h"
#include "base/file.h"
#include "base/log.h"
#include "services/audit/record_json.h"

namespace cove::audit {
namespace {

std::string day_of(int64_t time_ns) { return time_text(time_ns).substr(0, 10); }

std::string new_log_id() {
  std::array<unsigned char, 16> bytes{};
  COVE_CHECK_MSG(RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) == 1, "OpenSSL has random numbers");
  return to_hex(bytes);
}

Status make_folder(const std::filesystem::path& dir) {
  std::error_code error;
  const bool made = std::filesystem::create_directories(dir, error);
  if (!error && made) std::filesystem::permissions(dir, std::filesystem::perms::owner_all, error);
  if (!error) return {};
  return make_error(ErrorCode::kIo,
                    fmt::format("{}: cannot make the audit log's folder: {}", dir.string(), error.message()));
}

// The last file with a whole line in it says where the chain ends; those behind it are what a crash left of a file that
// was being begun.
Result<Tail> find_tail(const std::vector<LogFile>& files) {
  Tail last;
  for (size_t i = files.size(); i-- > 0;) {
    TRY_ASSIGN(Tail tail, read_tail(files[i]));
    if (i + 1 == files.size()) last = tail;
    if (tail.good_bytes == 0) continue;
    if (i + 1 == files.size()) return tail;
    tail.good_bytes = 0;
    tail.torn = std::move(last.torn);
    return tail;
  }
  return last;
}

}  // namespace

Result<std::unique_ptr<ChainWriter>> ChainWriter::open(const LogOptions& options) {
  TRY(make_folder(options.dir));
  TRY_ASSIGN(FolderLock lock, FolderLock::take(options.dir / kLockFile));
  TRY_ASSIGN(const auto files, list_log_files(options.dir));
  TRY_ASSIGN(Tail tail, find_tail(files));
  const MissingKey missing = tail.state.sequence == 0 ? MissingKey::kMake : MissingKey::kRefuse;
  TRY_ASSIGN(SigningKey signing_key, SigningKey::open(options.signing_key_file, missing));
  TRY_ASSIGN(HashKey hash_key, HashKey::open(options.hash_key_file, missing));
  if (tail.state.sequence != 0 && tail.open.public_key != to_hex(signing_key.public_key().bytes())) {
    return make_error(
        ErrorCode::kFailedPrecondition,
        fmt::format("{}: is not the key that signed the audit log in {}; bring that one back, or move the "
                    "log's folder away to begin a new one",
                    options.signing_key_file.string(), options.dir.string()));
  }
  std::unique_ptr<ChainWriter> writer(
      new ChainWriter(options, std::move(lock), std::move(signing_key), std::move(hash_key)));
  TRY(writer->start(files, std::move(tail)));
  return writer;
}

int64_t ChainWriter::now_ns() const {
  if (options_.now_ns) return options_.now_ns();
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

Status ChainWriter::start(const std::vector<LogFile>& files, Tail tail) {
  TRY(write_file_atomic(options_.dir / kPublicKeyFile, signing_key_.public_key().to_pem()));
  state_ = tail.state;
  lines_unsigned_ = tail.lines_unsigned;
  log_id_ = state_.sequence == 0 ? new_log_id() : tail.open.log_id;
  if (files.empty()) return begin_file(1, "start", {});
  const LogFile& last = files.back();
  std::string recovered;
  if (!tail.torn.empty()) {
    TRY_ASSIGN(recovered, set_aside(last, tail));
  }
  file_number_ = last.number;
  file_day_ = last.path.filename().string().substr(last.path.filename().string().size() - 16, 10);
  TRY_ASSIGN(file_, AppendFile::continue_at(last.path, tail.good_bytes));
  if (tail.good_bytes > 0 && rotation_due(now_ns())) {
    TRY(checkpoint());
    return begin_file(file_number_ + 1, "start", recovered);
  }
  Draft lines = draft();
  add_open(lines, file_number_, "start", recovered);
  TRY(put(std::move(lines)));
  return sync();
}

// Keeps what stands behind the last whole line in a file of its own, before it is cut off. Returns the members of the
// line that tells.
Result<std::string> ChainWriter::set_aside(const LogFile& file, const Tail& tail) {
  const std::string name = torn_file_name(file.number, tail.state.sequence + 1);
  TRY(write_file_atomic(options_.dir / name, tail.torn, 0600));
  TRY(sync_folder(options_.dir));
  log::warn("audit.recovered", {{"file", file.path.filename().string()},
                                {"bytes", tail.torn.size()},
                                {"kept_in", name},
                                {"why", "the last line was incomplete, as after a crash"}});
  std::string members;
  append_time(members, now_ns());
  members +=
      fmt::format(R"(,"file":"{}","at":{},"bytes":{},"kept_in":"{}","sha256":"{}")", file.path.filename().string(),
                  tail.good_bytes, tail.torn.size(), name, to_hex(sha256(tail.torn)));
  return members;
}

bool ChainWriter::rotation_due(int64_t now) const {
  return file_.bytes() >= options_.file_bytes_max || day_of(now) > file_day_;
}

void ChainWriter::add(Draft& draft, std::string_view type, std::string_view members) {
  append_line(draft.bytes, draft.state, type, members);
  ++draft.lines_unsigned;
  if (draft.lines_unsigned >= options_.checkpoint_lines) add_checkpoint(draft);
}

void ChainWriter::add_checkpoint(Draft& draft) {
  const CheckpointFields fields{
      .log_id = log_id_, .sequence = draft.state.sequence + 1, .previous = draft.state.hash, .time_ns = now_ns()};
  append_line(draft.bytes, draft.state, kCheckpointLine, checkpoint_members(fields, signing_key_));
  draft.lines_unsigned = 0;
}

void ChainWriter::add_open(Draft& draft, uint64_t number, std::string_view reason, const std::string& recovered) {
  const OpenFields fields{.log_id = log_id_,
                          .file = number,
                          .public_key = to_hex(signing_key_.public_key().bytes()),
                          .hash_key_id = hash_key_.id(),
                          .checkpoint_lines = options_.checkpoint_lines,
                          .reason = std::string(reason)};
  append_line(draft.bytes, draft.state, kOpenLine, open_members(fields, now_ns()));
  if (!recovered.empty()) append_line(draft.bytes, draft.state, kRecoveredLine, recovered);
  add_checkpoint(draft);  // so that what the line says of the log is signed from the beginning
}

void ChainWriter::take(const Draft& draft) {
  state_ = draft.state;
  lines_unsigned_ = draft.lines_unsigned;
}

Status ChainWriter::put(Draft draft) {
  const bool now = options_.sync == SyncPolicy::kAlways;
  TRY(file_.append(draft.bytes, now ? AppendFile::Sync::kNow : AppendFile::Sync::kLater));
  take(draft);
  unsynced_ = !now;
  if (now) ++syncs_;
  return {};
}

// Nothing changes when it fails: the new file goes away again.
Status ChainWriter::begin_file(uint64_t number, std::string_view reason, const std::string& recovered) {
  const int64_t now = now_ns();
  const std::filesystem::path path = options_.dir / log_file_name(number, now);
  TRY_ASSIGN(AppendFile file, AppendFile::create(path));
  Draft lines = draft();
  add_open(lines, number, reason, recovered);
  Status status = file.append(lines.bytes, AppendFile::Sync::kNow);
  if (status) status = sync_folder(options_.dir);
  if (!status) {
    std::error_code ignored;
    std::filesystem::remove(path, ignored);
    return status;
  }
  file_ = std::move(file);
  file_number_ = number;
  file_day_ = day_of(now);
  take(lines);
  unsynced_ = false;
  ++syncs_;
  return {};
}

Status ChainWriter::rotate() {
  TRY(checkpoint());
  TRY(sync());
  return begin_file(file_number_ + 1, "rotation", {});
}

Status ChainWriter::write(std::span<const Record* const> records, uint64_t dropped) {
  if (rotation_due(now_ns())) TRY(rotate());
  Draft lines = draft();
  if (dropped > 0) {
    members_.clear();
    append_time(members_, now_ns());
    members_ += fmt::format(R"(,"records":{})", dropped);
    add(lines, kDroppedLine, members_);
  }
  for (const Record* record : records) {
    const auto role = options_.prompts_by_role.find(record->caller.role);
    const PromptForm form = role == options_.prompts_by_role.end() ? options_.prompts : role->second;
    members_.clear();
    append_record(members_, *record, {.form = form, .key = &hash_key_});
    add(lines, kRequestLine, members_);
  }
  return put(std::move(lines));
}

Status ChainWriter::checkpoint() {
  if (lines_unsigned_ == 0) return {};
  Draft lines = draft();
  add_checkpoint(lines);
  return put(std::move(lines));
}

Status ChainWriter::sync() {
  if (!unsynced_) return {};
  TRY(file_.sync());
  unsynced_ = false;
  ++syncs_;
  return {};
}

}  // namespace cove::audit
