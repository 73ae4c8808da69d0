#pragma once
// Watches what identities and addresses do, and raises one alert when one of them does too much: not one per request.
// An alert lasts until the rate has fallen to nine tenths of its threshold, so that a rate around the threshold does
// not raise one after the other; then it is armed again. Any thread.

#include <chrono>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "services/anomaly/alert.h"
#include "services/anomaly/rate_window.h"

namespace cove::anomaly {

// Thresholds: more than this raises an alert; 0 = off.
struct WatchOptions {
  int64_t requests_per_minute = 100;   // of one identity, in any 60 s
  int64_t tokens_per_hour = 0;         // of one identity, prompt and answer together
  int64_t failed_logins_account = 10;  // with one account's name, in any 10 minutes
  int64_t failed_logins_address = 30;  // from one address, in any 10 minutes
  size_t subjects_max = 10'000;        // of each rule; of more, those seen longest ago are forgotten
  size_t history_max = 256;            // ended alerts that are still shown
};

class Watch {
 public:
  using Clock = std::chrono::steady_clock;
  using Listener = std::function<void(const Alert&)>;

  // `listener` hears each alert when it begins and, with ended_s, when it ends; from the calling thread, without the
  // lock. May be null.
  Watch(const WatchOptions& options, Listener listener);

  void request(std::string_view identity, std::string_view name, Clock::time_point now = Clock::now());
  void tokens(std::string_view identity, std::string_view name, int64_t count, Clock::time_point now = Clock::now());
  // `account` is empty when none was named (an API key).
  void failed_login(std::string_view account, std::string_view address, Clock::time_point now = Clock::now());
  // Ends what has calmed down; to be called about once a second.
  void sweep(Clock::time_point now = Clock::now());

  RateLimit limit(Rule rule) const { return limits_[static_cast<size_t>(rule)]; }
  std::vector<Alert> active() const;
  // Ended ones, newest first.
  std::vector<Alert> history() const;
  // Alerts raised since the start.
  uint64_t raised(Rule rule) const;
  // Subjects that are remembered, of all rules.
  size_t subjects() const;

 private:
  struct Subject {
    std::string id;
    RateWindow window;
    Alert alert;  // id 0 = none lasts
  };
  // Of one rule: seen last first.
  struct Table {
    std::list<Subject> subjects;
    std::unordered_map<std::string_view, std::list<Subject>::iterator> index;  // by Subject::id
    uint64_t raised = 0;
  };

  struct Event {
    std::string_view subject;
    std::string_view name{};
    int64_t amount = 1;
  };
  void note(Rule rule, const Event& event, Clock::time_point now);
  Subject& subject_of(Table& table, std::string_view id, std::vector<Alert>& ended);
  void end(Subject& subject, std::vector<Alert>& ended);
  void forget_last(Table& table, std::vector<Alert>& ended);
  void tell(const std::vector<Alert>& alerts) const;

  WatchOptions options_;
  std::array<RateLimit, kRules.size()> limits_;
  Listener listener_;
  mutable std::mutex mutex_;  // guards what follows
  std::array<Table, kRules.size()> tables_;
  std::list<Alert> history_;
  uint64_t last_id_ = 0;
};

}  // namespace cove::anomaly
