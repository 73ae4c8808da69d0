#pragma once
// SIGTERM and SIGINT as something a thread can wait for. Made before any other thread, so that all inherit the mask.

#include <chrono>

namespace cove::app {

class StopSignals {
 public:
  StopSignals();  // blocks both signals for this thread and those it will start; ignores SIGPIPE
  // True when a signal came within `limit`.
  bool wait(std::chrono::milliseconds limit);
};

}  // namespace cove::app
