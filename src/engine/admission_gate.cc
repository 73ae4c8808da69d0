#include "engine/admission_gate.h"

#include <fmt/format.h>

#include "base/check.h"

namespace cove::engine {

Status AdmissionGate::enter(const std::string& tenant) {
  const std::lock_guard lock(mutex_);
  const auto found = by_tenant_.find(tenant);
  const int64_t own = found == by_tenant_.end() ? 0 : found->second;
  const bool full = waiting_ >= queue_max_;
  const bool only_reserve_left = waiting_ >= queue_max_ - reserve_ && own >= reserve_;
  if (full || (reserve_ > 0 && only_reserve_left)) {
    return make_error(
        ErrorCode::kResourceExhausted,
        fmt::format("the queue is full: {} requests wait, {} of them yours, limits.queue_max is {}; try again later",
                    waiting_, own, queue_max_));
  }
  ++waiting_;
  ++by_tenant_[tenant];
  return {};
}

void AdmissionGate::leave(const std::string& tenant) {
  const std::lock_guard lock(mutex_);
  const auto found = by_tenant_.find(tenant);
  COVE_CHECK(found != by_tenant_.end() && waiting_ > 0);
  --waiting_;
  if (--found->second == 0) by_tenant_.erase(found);
}

int64_t AdmissionGate::waiting() const {
  const std::lock_guard lock(mutex_);
  return waiting_;
}

}  // namespace cove::engine
