#include "services/auth/rate_limits.h"

#include <algorithm>
#include <ctime>

#include "base/log.h"

namespace cove::auth {
namespace {

constexpr int64_t kDaySeconds = 86'400;
constexpr int64_t kMinuteSeconds = 60;

int64_t day_of(Moment now) { return now.unix_s / kDaySeconds; }
int64_t seconds_to_midnight(Moment now) { return kDaySeconds - now.unix_s % kDaySeconds; }

bool limited(const Identity& identity) { return !identity.id.empty() && identity.id != "anonymous"; }

// The tighter of two states: fewer remaining, as a share of the limit.
void keep_tightest(std::optional<LimitState>& state, const LimitState& other) {
  const auto share = [](const LimitState& s) {
    return static_cast<double>(s.remaining) / static_cast<double>(s.limit);
  };
  if (!state || share(other) < share(*state)) state = other;
}

}  // namespace

Moment Moment::now() {
  return {
      .second =
          std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now().time_since_epoch()).count(),
      .unix_s = static_cast<int64_t>(std::time(nullptr))};
}

void RateLimits::MinuteWindow::add(int64_t second, int64_t count) {
  Slot& slot = slots_[static_cast<size_t>(second % kSlots)];
  if (slot.second != second) slot = {.second = second, .count = 0};
  slot.count += count;
}

// The second that is going on and the 60 before it hold all that happened within 60 s.
int64_t RateLimits::MinuteWindow::sum(int64_t second) const {
  int64_t sum = 0;
  for (const Slot& slot : slots_) {
    if (slot.second >= second - kMinuteSeconds && slot.second <= second) sum += slot.count;
  }
  return sum;
}

int64_t RateLimits::MinuteWindow::free_in(int64_t second, int64_t limit) const {
  int64_t rest = sum(second);
  for (int64_t wait = 0; wait < kSlots; ++wait) {
    if (rest < limit) return wait;
    const int64_t leaving = second - kMinuteSeconds + wait;
    if (leaving < 0) continue;
    const Slot& slot = slots_[static_cast<size_t>(leaving % kSlots)];
    if (slot.second == leaving) rest -= slot.count;
  }
  return kSlots;
}

int64_t RateLimits::MinuteWindow::empty_in(int64_t second) const { return sum(second) == 0 ? 0 : free_in(second, 1); }

RateLimits::RateLimits(storage::Database& database, const RateLimitsOptions& options)
    : database_(&database), options_(options), writer_([this] { write_loop(); }) {}

RateLimits::~RateLimits() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  stop_.notify_all();
  writer_.join();
  if (const Status status = write(); !status) log::error("auth.usage_not_written", {{"error", status.error().message}});
}

void RateLimits::write_loop() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    stop_.wait_for(lock, options_.write_every, [this] { return stopping_; });
    if (stopping_ || unwritten_.empty()) continue;
    lock.unlock();
    if (const Status status = write(); !status)
      log::error("auth.usage_not_written", {{"error", status.error().message}});
    lock.lock();
  }
}

Status RateLimits::write() {
  decltype(unwritten_) counts;
  int64_t prune_before = 0;
  {
    const std::lock_guard lock(mutex_);
    counts.swap(unwritten_);
    const int64_t today = static_cast<int64_t>(std::time(nullptr)) / kDaySeconds;
    if (pruned_day_ != today) prune_before = (pruned_day_ = today) - options_.days_kept;
  }
  if (counts.empty()) return {};
  const Status done = database_->transaction([&]() -> Status {
    for (const auto& [key, count] : counts) {
      TRY(
          database_->execute("INSERT INTO usage_days (subject, day, requests, tokens) VALUES (?, ?, ?, ?) "
                             "ON CONFLICT (subject, day) DO UPDATE SET requests = requests + excluded.requests, "
                             "tokens = tokens + excluded.tokens",
                             std::vector<storage::Value>{key.first, key.second, count.requests, count.tokens}));
    }
    if (prune_before > 0)
      TRY(database_->execute("DELETE FROM usage_days WHERE day < ?", std::vector<storage::Value>{prune_before}));
    return {};
  });
  if (done) return {};
  const std::lock_guard lock(mutex_);
  for (const auto& [key, count] : counts) {
    unwritten_[key].requests += count.requests;
    unwritten_[key].tokens += count.tokens;
  }
  return done;
}

size_t RateLimits::subjects() const {
  const std::lock_guard lock(mutex_);
  return subjects_.size();
}

RateLimits::Counts RateLimits::stored_counts(const std::string& name, int64_t day) {
  const auto rows = database_->query("SELECT requests, tokens FROM usage_days WHERE subject = ? AND day = ?",
                                     std::vector<storage::Value>{name, day});
  if (!rows) {
    // Counting from zero lets somebody have more today; refusing would stop everybody.
    log::error("auth.usage_not_read", {{"error", rows.error().message}});
    return {};
  }
  if (rows->empty()) return {};
  return {.requests = storage::as_integer(rows->at(0).at(0)), .tokens = storage::as_integer(rows->at(0).at(1))};
}

// Makes sure that the subject is in memory with the counts of today.
void RateLimits::prepare(const std::string& name, Moment now) {
  {
    const std::lock_guard lock(mutex_);
    if (index_.contains(name)) return;
  }
  const Counts stored = stored_counts(name, day_of(now));
  const std::lock_guard lock(mutex_);
  if (index_.contains(name)) return;
  make_room();
  // What waits to be written is not in `stored` yet.
  const auto waiting = unwritten_.find({name, day_of(now)});
  const Counts more = waiting == unwritten_.end() ? Counts{} : waiting->second;
  subjects_.push_front({.name = name,
                        .requests = {},
                        .tokens = {},
                        .day = day_of(now),
                        .day_requests = stored.requests + more.requests,
                        .day_tokens = stored.tokens + more.tokens,
                        .running = 0});
  index_.emplace(subjects_.front().name, subjects_.begin());
}

void RateLimits::make_room() {
  if (subjects_.size() < options_.subjects_max) return;
  // Nobody who has a request running is forgotten.
  for (auto at = std::prev(subjects_.end()); at != subjects_.begin(); --at) {
    if (at->running > 0) continue;
    index_.erase(at->name);
    subjects_.erase(at);
    return;
  }
}

// With mutex_ held; prepare() came before.
RateLimits::Subject& RateLimits::subject_of(const std::string& name, Moment now) {
  auto found = index_.find(name);
  if (found == index_.end()) {
    subjects_.push_front({.name = name, .requests = {}, .tokens = {}, .day = day_of(now)});
    found = index_.emplace(subjects_.front().name, subjects_.begin()).first;
  }
  subjects_.splice(subjects_.begin(), subjects_, found->second);
  Subject& subject = *found->second;
  if (subject.day != day_of(now)) {
    subject.day = day_of(now);
    subject.day_requests = 0;
    subject.day_tokens = 0;
  }
  return subject;
}

std::vector<RateLimits::Side> RateLimits::sides_of(const Identity& identity, Moment now) {
  std::vector<Side> sides;
  sides.push_back({&subject_of(identity.id, now), with_overrides(options_.defaults, identity.limits)});
  if (!identity.owner.empty())
    sides.push_back({&subject_of(identity.owner, now), with_overrides(options_.defaults, identity.owner_limits)});
  return sides;
}

void RateLimits::check(const Side& side, Moment now, Admission& admission) {
  const Subject& s = *side.subject;
  const auto refuse = [&](std::string_view limit, int64_t value, int64_t retry_after_s) {
    if (!admission.admitted && admission.retry_after_s >= retry_after_s) return;
    admission.admitted = false;
    admission.limit = limit;
    admission.limit_value = value;
    admission.retry_after_s = std::max<int64_t>(1, retry_after_s);
  };
  const LimitValues& l = side.limits;
  if (l.concurrent_requests > 0 && s.running >= l.concurrent_requests)
    refuse("concurrent_requests", l.concurrent_requests, 1);
  if (l.requests_per_minute > 0 && s.requests.sum(now.second) >= l.requests_per_minute)
    refuse("requests_per_minute", l.requests_per_minute, s.requests.free_in(now.second, l.requests_per_minute));
  if (l.tokens_per_minute > 0 && s.tokens.sum(now.second) >= l.tokens_per_minute)
    refuse("tokens_per_minute", l.tokens_per_minute, s.tokens.free_in(now.second, l.tokens_per_minute));
  if (l.requests_per_day > 0 && s.day_requests >= l.requests_per_day)
    refuse("requests_per_day", l.requests_per_day, seconds_to_midnight(now));
  if (l.tokens_per_day > 0 && s.day_tokens >= l.tokens_per_day)
    refuse("tokens_per_day", l.tokens_per_day, seconds_to_midnight(now));
}

void RateLimits::describe(const Side& side, Moment now, Admission& admission) {
  const Subject& s = *side.subject;
  const auto note = [](std::optional<LimitState>& state, int64_t limit, int64_t used, int64_t reset_s) {
    if (limit > 0) keep_tightest(state, {limit, std::max<int64_t>(0, limit - used), reset_s});
  };
  const LimitValues& l = side.limits;
  note(admission.requests, l.requests_per_minute, s.requests.sum(now.second), s.requests.empty_in(now.second));
  note(admission.requests, l.requests_per_day, s.day_requests, s.day_requests == 0 ? 0 : seconds_to_midnight(now));
  note(admission.tokens, l.tokens_per_minute, s.tokens.sum(now.second), s.tokens.empty_in(now.second));
  note(admission.tokens, l.tokens_per_day, s.day_tokens, s.day_tokens == 0 ? 0 : seconds_to_midnight(now));
}

Admission RateLimits::admit(const Identity& identity, Moment now) {
  Admission admission{.admitted = true, .limit = {}, .requests = {}, .tokens = {}};
  if (!limited(identity)) return admission;
  prepare(identity.id, now);
  if (!identity.owner.empty()) prepare(identity.owner, now);
  const std::lock_guard lock(mutex_);
  const auto sides = sides_of(identity, now);
  for (const Side& side : sides) check(side, now, admission);
  for (const Side& side : sides) {
    if (admission.admitted) {
      side.subject->requests.add(now.second, 1);
      ++side.subject->day_requests;
      ++side.subject->running;
      ++unwritten_[{side.subject->name, side.subject->day}].requests;
    }
    describe(side, now, admission);
  }
  return admission;
}

void RateLimits::release(const Identity& identity) {
  if (!limited(identity)) return;
  const std::lock_guard lock(mutex_);
  for (const std::string* name : {&identity.id, &identity.owner}) {
    const auto found = index_.find(*name);
    if (found != index_.end() && found->second->running > 0) --found->second->running;
  }
}

void RateLimits::charge_tokens(const Identity& identity, int64_t tokens, Moment now) {
  if (!limited(identity) || tokens <= 0) return;
  prepare(identity.id, now);
  if (!identity.owner.empty()) prepare(identity.owner, now);
  const std::lock_guard lock(mutex_);
  for (const Side& side : sides_of(identity, now)) {
    side.subject->tokens.add(now.second, tokens);
    side.subject->day_tokens += tokens;
    unwritten_[{side.subject->name, side.subject->day}].tokens += tokens;
  }
}

}  // namespace cove::auth
