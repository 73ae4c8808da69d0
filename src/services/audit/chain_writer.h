#pragma once
// Writes the chain: lines, checkpoints, new files, and the repair of what a crash left. One thread: the log's.

#include <memory>
#include <span>
#include <string>

#include "services/audit/append_file.h"
#include "services/audit/keys.h"
#include "services/audit/line.h"
#include "services/audit/log_files.h"
#include "services/audit/options.h"
#include "services/audit/record.h"

namespace cove::audit {

class ChainWriter {
 public:
  // See Log::open.
  static Result<std::unique_ptr<ChainWriter>> open(const LogOptions& options);

  // All or nothing: after an error the files are as before and the call may be repeated. `dropped`: records that were
  // lost before these, noted in front of them. Syncs where the policy is kAlways. Errors: kIo.
  Status write(std::span<const Record* const> records, uint64_t dropped);
  // Signs what has not been signed. Does nothing when all is.
  Status checkpoint();
  Status sync();

  uint64_t sequence() const { return state_.sequence; }
  uint64_t lines_unsigned() const { return lines_unsigned_; }
  bool unsynced() const { return unsynced_; }
  uint64_t syncs() const { return syncs_; }

 private:
  // Lines that are made but not yet written, and the state behind them.
  struct Draft {
    std::string bytes;
    ChainState state;
    uint64_t lines_unsigned = 0;
  };

  ChainWriter(const LogOptions& options, FolderLock lock, SigningKey signing_key, HashKey hash_key)
      : options_(options),
        lock_(std::move(lock)),
        signing_key_(std::move(signing_key)),
        hash_key_(std::move(hash_key)) {}
  int64_t now_ns() const;
  Status start(const std::vector<LogFile>& files, Tail tail);
  Result<std::string> set_aside(const LogFile& file, const Tail& tail);
  Status begin_file(uint64_t number, std::string_view reason, const std::string& recovered);
  Status rotate();
  bool rotation_due(int64_t now) const;
  Draft draft() const { return {.bytes = {}, .state = state_, .lines_unsigned = lines_unsigned_}; }
  void add(Draft& draft, std::string_view type, std::string_view members);
  void add_checkpoint(Draft& draft);
  void add_open(Draft& draft, uint64_t number, std::string_view reason, const std::string& recovered);
  Status put(Draft draft);
  void take(const Draft& draft);

  LogOptions options_;
  FolderLock lock_;
  SigningKey signing_key_;
  HashKey hash_key_;
  std::string log_id_;
  AppendFile file_;
  uint64_t file_number_ = 0;
  std::string file_day_;
  ChainState state_;
  uint64_t lines_unsigned_ = 0;
  bool unsynced_ = false;
  uint64_t syncs_ = 0;
  std::string members_;  // of one line; kept for its memory
};

}  // namespace cove::audit
