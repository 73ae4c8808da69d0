#pragma once
// Continuous batching: which tokens of which sequences the next step computes. Decoding sequences come first, then
// prompts in pieces, then new sequences as long as pages, tokens and places last. When pages run out the youngest
// sequence is put back and recomputed later: the oldest always goes on, so everything finishes. Engine thread only.
//
// A step may be planned while the one before is under way. Steps run one after the other, so what is given back by one
// (a page, say) may be taken by the next before the first has ended.

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

// Positions [begin, begin + count) of one sequence. A position behind the known tokens is that of the token that the
// step before draws.
struct PlannedSlice {
  Sequence* sequence = nullptr;
  int64_t begin = 0;
  int64_t count = 0;
  bool draws = false;  // it reaches the sequence's end: its logits are wanted, a token is drawn
};

struct StepPlan {
  std::vector<PlannedSlice> slices;
  std::vector<Sequence*> started;  // left the queue for the first time
  int64_t tokens = 0;

  void clear() {
    slices.clear();
    started.clear();
    tokens = 0;
  }
};

class Scheduler {
 public:
  Scheduler(const SchedulerLimits& limits, KvPool& pool);

  void add(Sequence& sequence);
  // The next step, when none is under way; empty when there is nothing to do. At most `prompt_tokens_max` tokens of
  // prompts (at least one).
  void plan(int64_t prompt_tokens_max, StepPlan& plan);
  // The next step while one is under way, without what that one's end may change: empty when a sequence's next draw
  // depends on the token that it draws now, or when pages would have to be taken from someone.
  void plan_ahead(int64_t prompt_tokens_max, StepPlan& plan);
  // The step is queued: what is planned next may build on its keys, values and tokens.
  void submitted(const StepPlan& plan);
  // The step has ended. Call before its tokens are appended.
  void ended(const StepPlan& plan);
  // Leaves, wherever it is; its pages come back, at the latest when the steps under way that it has a part in have
  // ended.
  void remove(Sequence& sequence);

  int64_t running() const { return static_cast<int64_t>(running_.size()); }
  int64_t waiting() const { return queue_.size(); }
  uint64_t preemptions() const { return preemptions_; }

 private:
  void plan_decodes(StepPlan& plan);
  bool plan_decodes_ahead(StepPlan& plan);
  void plan_others(int64_t prompt_tokens_max, StepPlan& plan);
  void plan_prompts(int64_t budget, StepPlan& plan);
  void admit(int64_t budget, StepPlan& plan);
  bool soon_cached(const Sequence& sequence, int64_t cached) const;
  bool make_room(Sequence& sequence, int64_t positions);
  void rescue(int64_t budget, StepPlan& plan);
  void preempt_youngest();
  void publish(Sequence& sequence);

  SchedulerLimits limits_;
  KvPool* pool_;
  FairQueue queue_;
  std::vector<Sequence*> running_;  // by arrival, the oldest first
  uint64_t preemptions_ = 0;
};

}  // namespace cove::engine
