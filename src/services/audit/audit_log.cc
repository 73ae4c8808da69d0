#include "services/audit/audit_log.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "base/log.h"
#include "services/audit/chain_writer.h"

namespace cove::audit {
namespace {

using Clock = std::chrono::steady_clock;

// Of one write: bounds the memory that lines in the making take, and how long the first record of a group waits for the
// last.
constexpr size_t kGroupRecordsMax = 1024;
constexpr size_t kGroupBytesMax = size_t{8} << 20;

// What of a record grows with what clients send.
size_t bytes_of(const Record& record) {
  size_t bytes = sizeof(Record) + record.path.size();
  if (!record.generation) return bytes;
  bytes += record.generation->prompt.size() + record.generation->request.size();
  for (const AnswerText& answer : record.generation->answers)
    bytes += answer.reasoning.size() + answer.content.size() + answer.tool_calls.size();
  return bytes;
}

struct Pending {
  Record record;
  Log::OnDurable on_durable;
  size_t bytes = 0;

  void tell(const Status& status) {
    if (on_durable) std::exchange(on_durable, nullptr)(status);
  }
};
using PendingList = std::vector<std::unique_ptr<Pending>>;

class WritingLog final : public Log {
 public:
  WritingLog(const LogOptions& options, std::unique_ptr<ChainWriter> writer)
      : options_(options), writer_(std::move(writer)) {
    stats_.sequence = writer_->sequence();
    thread_ = std::thread([this] { run(); });
  }
  ~WritingLog() override { (void)close(); }

  Result<Slot> admit() override;
  void append(Slot slot, Record record, OnDurable on_durable) override;
  PromptForm prompt_form(std::string_view role) const override;
  OnFailure on_failure() const override { return options_.on_failure; }
  bool wait_for_durable() const override {
    return options_.sync == SyncPolicy::kAlways && options_.on_failure == OnFailure::kRefuse;
  }
  bool healthy() const override { return healthy_; }
  LogStats stats() const override;
  Status flush() override;
  Status close() override;

 protected:
  void give_back() override;

 private:
  // What the log's thread does in one go.
  struct Work {
    PendingList group;
    uint64_t dropped = 0;  // told by the first line
    bool sync = false;
  };

  bool is_full() const {
    return queued_ + promised_ >= options_.queue_max || queued_bytes_ >= options_.queue_bytes_max;
  }
  int64_t now_ns() const;
  Clock::time_point next_duty() const;
  void run();
  Work take_work();
  Status execute(const Work& work);
  Status write_group(const Work& work);
  void settle(Work& work, const Status& status);
  void settle_written(const Work& work);
  void settle_failed(Work& work, const Error& error);
  void write_rest(std::unique_lock<std::mutex>& lock);
  void drop_rest(std::unique_lock<std::mutex>& lock, const Status& status);

  const LogOptions options_;
  std::atomic<bool> healthy_{true};

  // The log's thread only.
  std::unique_ptr<ChainWriter> writer_;
  Clock::time_point checkpoint_due_{};
  Clock::time_point sync_due_{};
  Clock::time_point retry_at_{};

  mutable std::mutex mutex_;  // guards what follows; never held while writing or calling back
  std::condition_variable wake_;
  std::condition_variable done_;  // for flush()
  PendingList queue_;
  size_t queued_ = 0;  // in queue_ and in the group that is being written
  size_t queued_bytes_ = 0;
  size_t promised_ = 0;
  uint64_t accepted_ = 0;           // records since the start
  uint64_t safe_ = 0;               // of them, synced
  uint64_t dropped_unwritten_ = 0;  // no line tells of them yet
  bool flush_wanted_ = false;
  bool stop_ = false;
  LogStats stats_;
  Status close_status_;
  std::mutex close_mutex_;  // one close() at a time; taken before mutex_
  std::thread thread_;
};

Error closed_error() { return make_error(ErrorCode::kUnavailable, "the audit log is closed: the server is stopping"); }

Result<Log::Slot> WritingLog::admit() {
  const bool refuse = options_.on_failure == OnFailure::kRefuse;
  const std::lock_guard lock(mutex_);
  if (stop_ && refuse) return closed_error();
  if (!healthy_ && refuse) {
    return make_error(ErrorCode::kUnavailable,
                      "the audit log cannot be written, and without it nothing is served; the server's log tells why");
  }
  if (stop_ || is_full()) {
    if (!refuse) return Slot();
    return make_error(ErrorCode::kUnavailable, "the audit log does not keep up; try again later");
  }
  ++promised_;
  return make_slot();
}

void WritingLog::give_back() {
  const std::lock_guard lock(mutex_);
  --promised_;
}

int64_t WritingLog::now_ns() const {
  if (options_.now_ns) return options_.now_ns();
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

void WritingLog::append(Slot slot, Record record, OnDurable on_durable) {
  auto pending = std::make_unique<Pending>(Pending{std::move(record), std::move(on_durable)});
  pending->bytes = bytes_of(pending->record);
  if (pending->record.time_ns == 0) pending->record.time_ns = now_ns();
  Error refused;
  {
    const std::lock_guard lock(mutex_);
    const bool promised = take_promise(slot);
    if (promised) --promised_;
    if (!stop_ && (promised || !is_full())) {
      ++accepted_;
      ++queued_;
      queued_bytes_ += pending->bytes;
      queue_.push_back(std::move(pending));
    } else {
      ++stats_.dropped;
      ++dropped_unwritten_;
      refused = stop_ ? closed_error()
                      : make_error(ErrorCode::kResourceExhausted, "the audit log's queue is full; the record is lost");
    }
  }
  if (pending != nullptr) return pending->tell(refused);
  wake_.notify_one();
}

PromptForm WritingLog::prompt_form(std::string_view role) const {
  const auto own = options_.prompts_by_role.find(role);
  return own == options_.prompts_by_role.end() ? options_.prompts : own->second;
}

LogStats WritingLog::stats() const {
  const std::lock_guard lock(mutex_);
  LogStats stats = stats_;
  stats.queued = queued_;
  return stats;
}

Status WritingLog::flush() {
  std::unique_lock lock(mutex_);
  const uint64_t wanted = accepted_;
  const uint64_t failures = stats_.failures;
  flush_wanted_ = true;
  wake_.notify_one();
  done_.wait(lock, [&] { return safe_ >= wanted || stats_.failures != failures || stop_; });
  if (safe_ >= wanted) return {};
  if (stop_) return closed_error();
  return make_error(ErrorCode::kIo, stats_.last_error);
}

Status WritingLog::close() {
  const std::lock_guard closing(close_mutex_);
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  done_.notify_all();
  if (thread_.joinable()) thread_.join();
  return close_status_;
}

// When there is something to do though nothing is queued.
Clock::time_point WritingLog::next_duty() const {
  if (!healthy_) return retry_at_;
  Clock::time_point next = Clock::time_point::max();
  if (writer_->lines_unsigned() > 0) next = checkpoint_due_;
  if (writer_->unsynced() && options_.sync == SyncPolicy::kInterval) next = std::min(next, sync_due_);
  return next;
}

void WritingLog::run() {
  std::unique_lock lock(mutex_);
  while (!stop_) {
    const auto woken = [this] { return stop_ || flush_wanted_ || (healthy_ && !queue_.empty()); };
    const Clock::time_point until = next_duty();
    if (until == Clock::time_point::max()) {
      wake_.wait(lock, woken);
    } else {
      wake_.wait_until(lock, until, woken);
    }
    if (stop_) break;
    Work work = take_work();
    lock.unlock();
    const Status status = execute(work);
    for (const auto& pending : work.group) pending->tell(status);
    lock.lock();
    settle(work, status);
  }
  write_rest(lock);
}

// From the front of the queue; mutex_ is held.
WritingLog::Work WritingLog::take_work() {
  size_t bytes = 0;
  size_t count = 0;
  while (count < queue_.size() && count < kGroupRecordsMax && bytes < kGroupBytesMax) bytes += queue_[count++]->bytes;
  const auto end = queue_.begin() + static_cast<std::ptrdiff_t>(count);
  Work work{.group = PendingList(std::make_move_iterator(queue_.begin()), std::make_move_iterator(end)),
            .dropped = dropped_unwritten_,
            .sync = false};
  queue_.erase(queue_.begin(), end);
  if (queue_.empty()) work.sync = std::exchange(flush_wanted_, false);
  return work;
}

Status WritingLog::write_group(const Work& work) {
  std::vector<const Record*> records;
  records.reserve(work.group.size());
  for (const auto& pending : work.group) records.push_back(&pending->record);
  const bool was_signed = writer_->lines_unsigned() == 0;
  const bool was_synced = !writer_->unsynced();
  TRY(writer_->write(records, work.dropped));
  const Clock::time_point now = Clock::now();
  if (was_signed) checkpoint_due_ = now + options_.checkpoint_interval;
  if (was_synced) sync_due_ = now + options_.sync_interval;
  return {};
}

Status WritingLog::execute(const Work& work) {
  if (!work.group.empty() || work.dropped > 0) TRY(write_group(work));
  const Clock::time_point now = Clock::now();
  if (writer_->lines_unsigned() > 0 && now >= checkpoint_due_) TRY(writer_->checkpoint());
  const bool sync_due = options_.sync == SyncPolicy::kInterval && now >= sync_due_;
  // After a failure, a sync shows whether the disk works again.
  if (work.sync || sync_due || !healthy_) TRY(writer_->sync());
  return {};
}

// mutex_ is held.
void WritingLog::settle(Work& work, const Status& status) {
  if (status) {
    settle_written(work);
  } else {
    settle_failed(work, status.error());
  }
  stats_.sequence = writer_->sequence();
  stats_.syncs = writer_->syncs();
  done_.notify_all();
}

void WritingLog::settle_written(const Work& work) {
  for (const auto& pending : work.group) queued_bytes_ -= pending->bytes;
  queued_ -= work.group.size();
  stats_.written += work.group.size();
  dropped_unwritten_ -= work.dropped;
  if (!writer_->unsynced()) safe_ = stats_.written;
  stats_.last_error.clear();
  if (healthy_.exchange(true)) return;
  log::info("audit.works_again", {{"queued", queued_}, {"dropped", stats_.dropped}});
}

// The group goes back to where it came from.
void WritingLog::settle_failed(Work& work, const Error& error) {
  queue_.insert(queue_.begin(), std::make_move_iterator(work.group.begin()), std::make_move_iterator(work.group.end()));
  work.group.clear();
  flush_wanted_ = false;
  ++stats_.failures;
  stats_.last_error = error.message;
  retry_at_ = Clock::now() + options_.retry_pause;
  if (!healthy_.exchange(false)) return;
  const bool refuse = options_.on_failure == OnFailure::kRefuse;
  log::error("audit.failed", {{"error", error.message},
                              {"effect", refuse ? "requests are refused" : "requests are served without audit"},
                              {"next", "make room or mend the disk; it is tried again by itself"}});
}

// The end: what is queued, a checkpoint, a sync. Nothing is tried twice.
void WritingLog::write_rest(std::unique_lock<std::mutex>& lock) {
  Status status;
  while (status && (!queue_.empty() || dropped_unwritten_ > 0)) {
    Work work = take_work();
    lock.unlock();
    status = write_group(work);
    for (const auto& pending : work.group) pending->tell(status);
    lock.lock();
    settle(work, status);
  }
  if (status) status = writer_->checkpoint();
  if (status) status = writer_->sync();
  stats_.sequence = writer_->sequence();
  writer_.reset();  // another process may write now
  drop_rest(lock, status);
}

void WritingLog::drop_rest(std::unique_lock<std::mutex>& lock, const Status& status) {
  PendingList rest = std::exchange(queue_, {});
  stats_.dropped += rest.size();
  queued_ -= rest.size();
  close_status_ = status;
  done_.notify_all();
  lock.unlock();
  for (const auto& pending : rest) pending->tell(status);
  if (!rest.empty()) log::error("audit.lost", {{"records", rest.size()}, {"error", status.error().message}});
  lock.lock();
}

}  // namespace

Log::~Log() = default;

Log::Slot& Log::Slot::operator=(Slot&& other) noexcept {
  if (this == &other) return *this;
  release();
  log_ = std::exchange(other.log_, nullptr);
  return *this;
}

void Log::Slot::release() {
  if (log_ != nullptr) std::exchange(log_, nullptr)->give_back();
}

Result<std::unique_ptr<Log>> Log::open(const LogOptions& options) {
  TRY_ASSIGN(auto writer, ChainWriter::open(options));
  return std::make_unique<WritingLog>(options, std::move(writer));
}

}  // namespace cove::audit
