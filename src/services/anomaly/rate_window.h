#pragma once
// Whether more than a number of events fell into any window of a length: a true sliding window, not a counter that is
// reset. Bounded memory: only the newest events that are needed to answer are kept, at most kEntriesMax of them. Up to
// a threshold of kEntriesMax the answer is exact to the millisecond; beyond, times are rounded to 1/kEntriesMax of the
// window. No locks; Watch has one.

#include <cstddef>
#include <cstdint>
#include <deque>

namespace cove::anomaly {

struct RateLimit {
  int64_t threshold = 0;  // more than this is too much; 0 = never
  int64_t window_ms = 60'000;
};

class RateWindow {
 public:
  static constexpr int64_t kEntriesMax = 1024;

  // `amount` more at `now_ms`, a clock that never goes back.
  void add(const RateLimit& limit, int64_t now_ms, int64_t amount = 1);
  // What fell into the window that ends now. Exact up to threshold + 1; what is more may count as less, never below it.
  int64_t sum(const RateLimit& limit, int64_t now_ms);
  bool empty() const { return entries_.empty(); }
  size_t entries() const { return entries_.size(); }

 private:
  struct Entry {
    int64_t time_ms;
    int64_t amount;
  };
  std::deque<Entry> entries_;  // oldest first
  int64_t sum_ = 0;
};

}  // namespace cove::anomaly
