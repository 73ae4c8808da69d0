#include "engine/scheduler/fair_queue.h"

#include <algorithm>
#include <tuple>

#include "base/check.h"

namespace cove::engine {

// A tenant that comes (back) starts level with the least served one: neither owed nor owing anything.
int64_t FairQueue::least_served() const {
  int64_t least = -1;
  for (const auto& [name, tenant] : tenants_) {
    if (least < 0 || tenant.served < least) least = tenant.served;
  }
  return std::max(least, int64_t{0});
}

void FairQueue::push(Sequence& sequence) {
  const std::string& name = sequence.request.tenant;
  if (!tenants_.contains(name)) {
    const int64_t start = least_served();
    tenants_[name].served = start;
  }
  tenants_[name].queue.push_back(&sequence);
  ++size_;
}

void FairQueue::push_preempted(Sequence& sequence) {
  const auto older = [](const Sequence* a, const Sequence* b) { return a->id > b->id; };
  preempted_.insert(std::upper_bound(preempted_.begin(), preempted_.end(), &sequence, older), &sequence);
  ++size_;
}

// The least served with something queued; among equals the one whose turn is longest ago.
FairQueue::Tenant* FairQueue::next_tenant() {
  Tenant* next = nullptr;
  for (auto& [name, tenant] : tenants_) {
    if (tenant.queue.empty()) continue;
    const auto rank = [](const Tenant& t) { return std::tuple(t.served, t.turn, t.queue.front()->id); };
    if (next == nullptr || rank(tenant) < rank(*next)) next = &tenant;
  }
  return next;
}

Sequence* FairQueue::front() {
  if (!preempted_.empty()) return preempted_.back();
  const Tenant* tenant = next_tenant();
  return tenant == nullptr ? nullptr : tenant->queue.front();
}

void FairQueue::pop_front() {
  COVE_CHECK(size_ > 0);
  --size_;
  if (!preempted_.empty()) {
    preempted_.pop_back();
    return;
  }
  Tenant* tenant = next_tenant();
  tenant->queue.pop_front();
  tenant->turn = ++turns_;
  ++tenant->running;
}

bool FairQueue::remove(const Sequence& sequence) {
  if (std::erase(preempted_, &sequence) > 0) {
    --size_;
    finished(sequence.request.tenant);
    return true;
  }
  const auto found = tenants_.find(sequence.request.tenant);
  if (found == tenants_.end() || std::erase(found->second.queue, &sequence) == 0) return false;
  --size_;
  forget_if_gone(sequence.request.tenant);
  return true;
}

void FairQueue::charge(const std::string& tenant, int64_t tokens) {
  const auto found = tenants_.find(tenant);
  COVE_CHECK(found != tenants_.end());
  found->second.served += tokens;
}

void FairQueue::finished(const std::string& tenant) {
  const auto found = tenants_.find(tenant);
  COVE_CHECK(found != tenants_.end() && found->second.running > 0);
  --found->second.running;
  forget_if_gone(tenant);
}

void FairQueue::forget_if_gone(const std::string& name) {
  const auto found = tenants_.find(name);
  if (found != tenants_.end() && found->second.queue.empty() && found->second.running == 0) tenants_.erase(found);
}

}  // namespace cove::engine
