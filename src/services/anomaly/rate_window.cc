#include "services/anomaly/rate_window.h"

#include <algorithm>

namespace cove::anomaly {

void RateWindow::add(const RateLimit& limit, int64_t now_ms, int64_t amount) {
  const bool exact = limit.threshold <= kEntriesMax;
  const int64_t grain_ms = exact ? 1 : std::max<int64_t>(1, limit.window_ms / kEntriesMax);
  const int64_t time_ms = now_ms - now_ms % grain_ms;
  if (!entries_.empty() && entries_.back().time_ms >= time_ms) {
    entries_.back().amount += amount;
  } else {
    entries_.push_back({time_ms, amount});
  }
  sum_ += amount;
  // When the newest events alone are too many, older ones change nothing: they leave the window first.
  while (sum_ - entries_.front().amount > limit.threshold) {
    sum_ -= entries_.front().amount;
    entries_.pop_front();
  }
}

int64_t RateWindow::sum(const RateLimit& limit, int64_t now_ms) {
  while (!entries_.empty() && entries_.front().time_ms <= now_ms - limit.window_ms) {
    sum_ -= entries_.front().amount;
    entries_.pop_front();
  }
  return sum_;
}

}  // namespace cove::anomaly
