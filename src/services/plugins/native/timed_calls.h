#pragma once
// Calls into code that cannot be interrupted, with a time limit: a few threads make the calls, callers wait no longer
// than they want. A call that is late keeps its thread until it returns; when all are held so, further calls time out
// while they wait. Any thread.

#include <chrono>
#include <functional>
#include <memory>

#include "base/result.h"

namespace cove::plugins {

class TimedCalls {
 public:
  explicit TimedCalls(int threads);
  // Waits for calls that are being made, but not for ever: threads that do not come back are left behind.
  ~TimedCalls();
  TimedCalls(const TimedCalls&) = delete;
  TimedCalls& operator=(const TimedCalls&) = delete;

  // `call` must own all that it touches: it may outlive this. Errors: kUnavailable (late, or too many wait).
  Status make(std::chrono::milliseconds timeout, std::function<void()> call);
  // Whether some call has not come back yet.
  bool busy() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace cove::plugins
