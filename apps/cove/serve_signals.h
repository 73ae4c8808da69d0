#pragma once
// SIGTERM, SIGINT and SIGHUP as something a thread can wait for. Made before any other thread, so that all inherit the
// mask.

#include <chrono>
#include <utility>

namespace cove::app {

class StopSignals {
 public:
  StopSignals();  // blocks the signals for this thread and those it will start; ignores SIGPIPE
  // True when SIGTERM or SIGINT came within `limit`; returns earlier on SIGHUP, with false.
  bool wait(std::chrono::milliseconds limit);
  // Whether SIGHUP came since the last call: files shall be read again.
  bool take_hangup() { return std::exchange(hangup_, false); }

 private:
  bool hangup_ = false;
};

}  // namespace cove::app
