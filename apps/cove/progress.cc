#include "progress.h"

#include <algorithm>
#include <cstdio>

#include <fmt/format.h>
#include <unistd.h>

namespace cove::app {

Progress::~Progress() {
  if (shown_) fmt::print(stderr, "\r{:<60}\r", "");
}

void Progress::at(uint64_t done) {
  static const bool is_terminal = ::isatty(STDERR_FILENO) == 1;
  if (!is_terminal) return;
  const std::lock_guard lock(mutex_);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
  if (seconds < 2.0 || seconds < next_) return;
  next_ = seconds + 0.2;
  shown_ = true;
  const double percent = 100.0 * static_cast<double>(done) / static_cast<double>(std::max<uint64_t>(total_, 1));
  if (unit_ == Unit::kItems) {
    fmt::print(stderr, "\r{} {:3.0f} % ", what_, percent);
  } else {
    fmt::print(stderr, "\r{} {:3.0f} %  {:.2f} GB/s ", what_, percent, static_cast<double>(done) / seconds / 1e9);
  }
}

}  // namespace cove::app
