#pragma once
// Continuous batching: which tokens of which sequences the next step computes. Decoding sequences come first, then
// prompts in pieces, then new sequences as long as pages, tokens and places last. When pages run out the youngest
// sequence is put back and recomputed later: the oldest always goes on, so everything finishes. Engine thread only.

#include <cstdint>
#include <vector>

#include "engine/kv/kv_pool.h"
#include "engine/scheduler/fair_queue.h"
#include "engine/scheduler/sequence.h"

namespace cove::engine {

struct SchedulerLimits {
  int64_t batch_tokens_max = 2048;
  int64_t sequences_max = 256;  // at most batch_tokens_max
};

// Tokens [computed, computed + count) of one sequence; its logits are wanted when that reaches its end.
struct PlannedSlice {
  Sequence* sequence = nullptr;
  int64_t count = 0;
  bool wants_logits() const { return sequence->computed + count == sequence->length(); }
};

struct StepPlan {
  std::vector<PlannedSlice> slices;
  std::vector<Sequence*> started;  // left the queue for the first time
  int64_t tokens = 0;
};

class Scheduler {
 public:
  Scheduler(const SchedulerLimits& limits, KvPool& pool);

  void add(Sequence& sequence);
  // The next step; empty when there is nothing to do. At most `prompt_tokens_max` tokens of prompts (at least one).
  void plan(int64_t prompt_tokens_max, StepPlan& plan);
  // After the step: keys and values of these slices are there. Call before tokens are appended.
  void computed(const StepPlan& plan);
  // Leaves, wherever it is; its pages come back.
  void remove(Sequence& sequence);

  int64_t running() const { return static_cast<int64_t>(running_.size()); }
  int64_t waiting() const { return queue_.size(); }
  uint64_t preemptions() const { return preemptions_; }

 private:
  void plan_decodes(StepPlan& plan);
  void plan_prompts(int64_t budget, StepPlan& plan);
  void admit(int64_t budget, StepPlan& plan);
  bool soon_cached(const Sequence& sequence, int64_t cached) const;
  bool make_room(Sequence& sequence, int64_t positions);
  void rescue(int64_t budget, StepPlan& plan);
  void preempt_youngest();

  SchedulerLimits limits_;
  KvPool* pool_;
  FairQueue queue_;
  std::vector<Sequence*> running_;  // by arrival, the oldest first
  uint64_t preemptions_ = 0;
};

}  // namespace cove::engine
