#include "services/anomaly/watch.h"

#include <ctime>
#include <utility>

#include "base/log.h"

namespace cove::anomaly {
namespace {

constexpr int64_t kMinuteMs = 60'000;
constexpr size_t kAccountBytesMax = 128;

int64_t ms_of(Watch::Clock::time_point time) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count();
}

// Where an alert ends: clearly below the threshold, so that it does not flap.
int64_t calm(const RateLimit& limit) { return limit.threshold * 9 / 10; }

void log_alert(const Alert& alert) {
  const log::Fields fields = {{"alert", alert.id},   {"rule", to_string(alert.rule)}, {"subject", alert.subject},
                              {"name", alert.name},  {"threshold", alert.threshold},  {"window_s", alert.window_s},
                              {"count", alert.count}};
  if (alert.ended_s) {
    log::info("anomaly.alert_ended", fields);
  } else {
    log::warn("anomaly.alert", fields);
  }
}

}  // namespace

Watch::Watch(const WatchOptions& options, Listener listener)
    : options_(options),
      limits_{
          RateLimit{options.requests_per_minute, kMinuteMs}, RateLimit{options.failed_logins_account, 10 * kMinuteMs},
          RateLimit{options.failed_logins_address, 10 * kMinuteMs}, RateLimit{options.tokens_per_hour, 60 * kMinuteMs}},
      listener_(std::move(listener)) {}

void Watch::request(std::string_view identity, std::string_view name, Clock::time_point now) {
  note(Rule::kRequestsPerMinute, {.subject = identity, .name = name}, now);
}

void Watch::tokens(std::string_view identity, std::string_view name, int64_t count, Clock::time_point now) {
  if (count > 0) note(Rule::kTokensPerHour, {.subject = identity, .name = name, .amount = count}, now);
}

void Watch::failed_login(std::string_view account, std::string_view address, Clock::time_point now) {
  // Whatever was typed into the form stands there.
  if (!account.empty()) note(Rule::kFailedLoginsAccount, {.subject = account.substr(0, kAccountBytesMax)}, now);
  note(Rule::kFailedLoginsAddress, {.subject = address}, now);
}

void Watch::note(Rule rule, const Event& event, Clock::time_point now) {
  const RateLimit& limit = limits_[static_cast<size_t>(rule)];
  if (limit.threshold == 0) return;
  std::vector<Alert> changed;
  {
    const std::lock_guard lock(mutex_);
    Table& table = tables_[static_cast<size_t>(rule)];
    Subject& subject = subject_of(table, event.subject, changed);
    const int64_t now_ms = ms_of(now);
    // What lies before this event decides first: after a long pause the old alert ends and a new one may begin.
    if (subject.alert.id != 0 && subject.window.sum(limit, now_ms) <= calm(limit)) end(subject, changed);
    subject.window.add(limit, now_ms, event.amount);
    const int64_t sum = subject.window.sum(limit, now_ms);
    if (subject.alert.id != 0) {
      subject.alert.count += event.amount;
    } else if (sum > limit.threshold) {
      subject.alert = {.id = ++last_id_,
                       .rule = rule,
                       .subject = subject.id,
                       .name = std::string(event.name),
                       .threshold = limit.threshold,
                       .window_s = limit.window_ms / 1000,
                       .started_s = std::time(nullptr),
                       .ended_s = std::nullopt,
                       .count = sum};
      ++table.raised;
      changed.push_back(subject.alert);
    }
  }
  tell(changed);
}

Watch::Subject& Watch::subject_of(Table& table, std::string_view id, std::vector<Alert>& ended) {
  if (const auto found = table.index.find(id); found != table.index.end()) {
    table.subjects.splice(table.subjects.begin(), table.subjects, found->second);
    return table.subjects.front();
  }
  if (table.subjects.size() >= options_.subjects_max) forget_last(table, ended);
  table.subjects.push_front({.id = std::string(id), .window = {}, .alert = {}});
  table.index.emplace(table.subjects.front().id, table.subjects.begin());
  return table.subjects.front();
}

void Watch::forget_last(Table& table, std::vector<Alert>& ended) {
  Subject& last = table.subjects.back();
  if (last.alert.id != 0) end(last, ended);
  table.index.erase(last.id);
  table.subjects.pop_back();
}

void Watch::end(Subject& subject, std::vector<Alert>& ended) {
  Alert alert = std::exchange(subject.alert, {});
  alert.ended_s = std::time(nullptr);
  history_.push_front(alert);
  if (history_.size() > options_.history_max) history_.pop_back();
  ended.push_back(std::move(alert));
}

void Watch::sweep(Clock::time_point now) {
  std::vector<Alert> ended;
  {
    const std::lock_guard lock(mutex_);
    for (size_t i = 0; i < tables_.size(); ++i) {
      Table& table = tables_[i];
      for (auto subject = table.subjects.begin(); subject != table.subjects.end();) {
        const int64_t sum = subject->window.sum(limits_[i], ms_of(now));
        if (subject->alert.id != 0 && sum <= calm(limits_[i])) end(*subject, ended);
        if (sum == 0) {
          table.index.erase(subject->id);
          subject = table.subjects.erase(subject);
        } else {
          ++subject;
        }
      }
    }
  }
  tell(ended);
}

void Watch::tell(const std::vector<Alert>& alerts) const {
  for (const Alert& alert : alerts) {
    log_alert(alert);
    if (listener_) listener_(alert);
  }
}

std::vector<Alert> Watch::active() const {
  const std::lock_guard lock(mutex_);
  std::vector<Alert> out;
  for (const Table& table : tables_) {
    for (const Subject& subject : table.subjects) {
      if (subject.alert.id != 0) out.push_back(subject.alert);
    }
  }
  return out;
}

std::vector<Alert> Watch::history() const {
  const std::lock_guard lock(mutex_);
  return {history_.begin(), history_.end()};
}

uint64_t Watch::raised(Rule rule) const {
  const std::lock_guard lock(mutex_);
  return tables_[static_cast<size_t>(rule)].raised;
}

size_t Watch::subjects() const {
  const std::lock_guard lock(mutex_);
  size_t count = 0;
  for (const Table& table : tables_) count += table.subjects.size();
  return count;
}

}  // namespace cove::anomaly
