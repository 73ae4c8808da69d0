#pragma once
// The audit log: append-only JSON lines, each bound to the one before by its hash, with signed checkpoints
// (docs/formats/audit.md). Any thread appends and never waits; one thread of the log's own writes what has gathered,
// syncs it once, and tells who waits that it is on disk (group commit).
//
// The gateway's part, per request:
//   auto slot = log.admit();                  // before any work; an error: refuse the request with 503
//   ...                                       // serve
//   log.append(std::move(*slot), record, [](const Status& on_disk) {...});   // once the end is known

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"
#include "services/audit/options.h"
#include "services/audit/record.h"

namespace cove::audit {

struct LogStats {
  uint64_t written = 0;   // records in the files (as safe as the sync policy makes them)
  uint64_t dropped = 0;   // records that could not be kept: the queue was full, or the log closed while it failed
  uint64_t queued = 0;    // waiting for the writer
  uint64_t sequence = 0;  // of the last line
  uint64_t failures = 0;  // failed writes and syncs
  uint64_t syncs = 0;
  std::string last_error{};  // empty when the last write succeeded
};

class Log {
 public:
  // A place in the queue, promised before the request is served, so that its record cannot be refused at its end.
  // Giving it up (destroying it) is allowed. Must not outlive its Log.
  class Slot {
   public:
    Slot() = default;  // promises nothing
    Slot(Slot&& other) noexcept : log_(std::exchange(other.log_, nullptr)) {}
    Slot& operator=(Slot&& other) noexcept;
    ~Slot() { release(); }

   private:
    friend class Log;
    explicit Slot(Log* log) : log_(log) {}
    void release();
    Log* log_ = nullptr;
  };

  // Called exactly once: with success when the line is written and, where the sync policy is kAlways, synced; with an
  // error as soon as a write or sync failed or the record was dropped (a failed write is tried again all the same).
  // Runs on the log's thread, or on the caller's within append(); must not block and must not call the log.
  using OnDurable = std::function<void(const Status&)>;

  // Makes the folder (0700), the keys where there are none yet, and continues the chain that is there. What a crash
  // left of a last line is moved into a file of its own and noted in the chain. One process at a time. Errors:
  // kFailedPrecondition (in use, wrong key), kDataCorrupt (the last file was changed), kIo.
  static Result<std::unique_ptr<Log>> open(const LogOptions& options);
  virtual ~Log();  // as close()
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  // Any thread; never waits. With OnFailure::kRefuse: kUnavailable while the log cannot be written or its queue is full
  // of what was promised. With OnFailure::kWarn it never fails; the slot may promise nothing then.
  virtual Result<Slot> admit() = 0;
  // Any thread; never waits for the disk. Without a promise a full queue drops the record (counted, and a line of the
  // chain tells how many).
  virtual void append(Slot slot, Record record, OnDurable on_durable = {}) = 0;

  // What the log keeps of a caller's texts: the gateway need not gather what is not kept.
  virtual PromptForm prompt_form(std::string_view role) const = 0;
  virtual OnFailure on_failure() const = 0;
  // Whether a caller should hold back the end of its answer until OnDurable: sync kAlways and on_failure kRefuse.
  virtual bool wait_for_durable() const = 0;

  // The last write and sync succeeded.
  virtual bool healthy() const = 0;
  virtual LogStats stats() const = 0;

  // Waits until all that was appended before is written and synced. Not from OnDurable. Errors: what failed.
  virtual Status flush() = 0;
  // Writes what is queued, a last checkpoint, and syncs. Whoever appends later gets kUnavailable. Idempotent.
  virtual Status close() = 0;

 protected:
  Log() = default;
  virtual void give_back() = 0;  // one promise
  Slot make_slot() { return Slot(this); }
  // Whether `slot` promises something of this log; it does not any more then.
  bool take_promise(Slot& slot) {
    if (slot.log_ != this) return false;
    slot.log_ = nullptr;
    return true;
  }
};

}  // namespace cove::audit
