#pragma once
// The bound of the queue: how many accepted requests may wait, and how many of one tenant. Thread-safe.

#include <cstdint>
#include <map>
#include <mutex>
#include <string>

#include "base/result.h"

namespace cove::engine {

class AdmissionGate {
 public:
  explicit AdmissionGate(int64_t queue_max) : queue_max_(queue_max), reserve_(queue_max / 8) {}

  // Takes a place, or kResourceExhausted with the numbers. The last eighth of the queue is kept for tenants that hold
  // less than an eighth of it, so that one tenant alone cannot shut the others out.
  Status enter(const std::string& tenant);
  void leave(const std::string& tenant);  // started or gone
  int64_t waiting() const;

 private:
  const int64_t queue_max_;
  const int64_t reserve_;
  mutable std::mutex mutex_;
  int64_t waiting_ = 0;
  std::map<std::string, int64_t> by_tenant_;
};

}  // namespace cove::engine
