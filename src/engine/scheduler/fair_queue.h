#pragma once
// Who runs next: tenants in order of service received so far, each tenant's requests in order of arrival (the virtual
// token counter of "Fairness in Serving Large Language Models", Sheng et al., OSDI 2024). Preempted sequences come
// before everyone. Engine thread only.

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "engine/scheduler/sequence.h"

namespace cove::engine {

class FairQueue {
 public:
  void push(Sequence& sequence);
  void push_preempted(Sequence& sequence);
  // The next to run, still queued; nullptr when empty.
  Sequence* front();
  void pop_front();
  // A queued sequence leaves (cancelled); false when it is not here.
  bool remove(const Sequence& sequence);

  // `tokens` were computed for a running sequence of this tenant.
  void charge(const std::string& tenant, int64_t tokens);
  // A sequence that front() gave and pop_front() took will not come back.
  void finished(const std::string& tenant);

  int64_t size() const { return size_; }

 private:
  struct Tenant {
    std::deque<Sequence*> queue;
    int64_t running = 0;  // popped and neither finished nor preempted
    int64_t served = 0;   // tokens
    uint64_t turn = 0;    // when one of its requests last left the queue; 0 = never
  };

  int64_t least_served() const;
  Tenant* next_tenant();
  void forget_if_gone(const std::string& name);

  std::map<std::string, Tenant> tenants_;  // those with queued or running sequences
  std::vector<Sequence*> preempted_;       // by arrival, the oldest last
  int64_t size_ = 0;
  uint64_t turns_ = 0;
};

}  // namespace cove::engine
