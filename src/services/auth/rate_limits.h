#pragma once
// Quotas and rate limits of identities: requests and tokens a minute and a day, requests at the same time. A minute is
// any 60 seconds (counted in seconds: never more than the limit within 60 s, a refused request may wait up to one
// second too long); a day is a day of UTC, counted in the database, so that a restart forgives nothing. Requests are
// counted when they are admitted, tokens when they are known, so that what runs at the same time may go over a token
// limit once. A key that belongs to a user counts for both. Any thread.

#include <array>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <list>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/result.h"
#include "services/auth/identity.h"
#include "storage/database.h"

namespace cove::auth {

struct Moment {
  int64_t second = 0;  // of a clock that never goes back
  int64_t unix_s = 0;
  static Moment now();
};

struct RateLimitsOptions {
  LimitValues defaults;
  size_t subjects_max = 20'000;  // in memory; those unused for longest go to the database
  std::chrono::milliseconds write_every{1000};
  int64_t days_kept = 400;
};

// What clients are told of a limit: x-ratelimit-limit-requests, -remaining-requests, -reset-requests.
struct LimitState {
  int64_t limit = 0;
  int64_t remaining = 0;
  int64_t reset_s = 0;  // until all of it is free again
};

struct Admission {
  bool admitted = false;
  // Of a refusal:
  std::string_view limit;  // the field's name: "requests_per_minute"
  int64_t limit_value = 0;
  int64_t retry_after_s = 1;
  // Of the tightest limit each; nullopt = there is none.
  std::optional<LimitState> requests;
  std::optional<LimitState> tokens;
};

class RateLimits {
 public:
  RateLimits(storage::Database& database, const RateLimitsOptions& options);
  ~RateLimits();  // writes what is not written yet
  RateLimits(const RateLimits&) = delete;
  RateLimits& operator=(const RateLimits&) = delete;

  // Counts the request and takes a place among the concurrent ones, or says which limit is reached. An admitted request
  // must be released. Reads the database when an identity is met for the first time.
  Admission admit(const Identity& identity, Moment now = Moment::now());
  void release(const Identity& identity);
  void charge_tokens(const Identity& identity, int64_t tokens, Moment now = Moment::now());
  // Writes the counts of the day. Errors: kIo; what could not be written stays for the next time.
  Status write();
  size_t subjects() const;

 private:
  // Counts of the last 61 seconds, each in the place of its second modulo 61.
  class MinuteWindow {
   public:
    void add(int64_t second, int64_t count);
    int64_t sum(int64_t second) const;
    // Seconds until no more than `limit` - 1 remain, and until none does.
    int64_t free_in(int64_t second, int64_t limit) const;
    int64_t empty_in(int64_t second) const;

   private:
    static constexpr int64_t kSlots = 61;
    struct Slot {
      int64_t second = -kSlots;
      int64_t count = 0;
    };
    std::array<Slot, kSlots> slots_{};
  };
  struct Subject {
    std::string name;
    MinuteWindow requests;
    MinuteWindow tokens;
    int64_t day = 0;
    int64_t day_requests = 0;
    int64_t day_tokens = 0;
    int64_t running = 0;
  };
  using SubjectList = std::list<Subject>;  // used last first
  struct Counts {
    int64_t requests = 0;
    int64_t tokens = 0;
  };
  struct Side {  // one of the at most two that a request counts for
    Subject* subject = nullptr;
    LimitValues limits;
  };

  Counts stored_counts(const std::string& name, int64_t day);
  void prepare(const std::string& name, Moment now);
  Subject& subject_of(const std::string& name, Moment now);
  std::vector<Side> sides_of(const Identity& identity, Moment now);
  void make_room();
  static void check(const Side& side, Moment now, Admission& admission);
  static void describe(const Side& side, Moment now, Admission& admission);
  void write_loop();

  storage::Database* database_;
  RateLimitsOptions options_;
  mutable std::mutex mutex_;  // guards the rest; not held while the database is used
  std::condition_variable stop_;
  bool stopping_ = false;
  SubjectList subjects_;
  std::unordered_map<std::string_view, SubjectList::iterator> index_;
  std::map<std::pair<std::string, int64_t>, Counts> unwritten_;  // by subject and day
  int64_t pruned_day_ = 0;
  std::thread writer_;  // last: it uses the rest
};

}  // namespace cove::auth
