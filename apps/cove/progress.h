#pragma once
// A line on standard error that says how far a long piece of work is; on a terminal only, and only once the work takes
// more than two seconds. Used by the commands that read or write whole models.

#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>

namespace cove::app {

class Progress {
 public:
  enum class Unit : uint8_t { kBytes, kItems };  // bytes are shown with GB/s
  Progress(std::string what, uint64_t total, Unit unit = Unit::kBytes)
      : what_(std::move(what)), total_(total), unit_(unit) {}
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  ~Progress();
  // Bytes or items so far; from any thread.
  void at(uint64_t done);

 private:
  const std::string what_;
  const uint64_t total_;
  const Unit unit_;
  const std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
  std::mutex mutex_;
  double next_ = 0;
  bool shown_ = false;
};

}  // namespace cove::app
