#include "engine/scheduler/scheduler.h"

#include <algorithm>
#include <span>

#include "base/check.h"

namespace cove::engine {
namespace {

void take(Sequence& sequence, int64_t count, StepPlan& plan) {
  plan.slices.push_back({.sequence = &sequence,
                         .begin = sequence.computed,
                         .count = count,
                         .draws = sequence.computed + count == sequence.length_ahead()});
  plan.tokens += count;
}

}  // namespace

Scheduler::Scheduler(const SchedulerLimits& limits, KvPool& pool) : limits_(limits), pool_(&pool) {
  COVE_CHECK(limits.sequences_max >= 1 && limits.sequences_max <= limits.batch_tokens_max);
}

void Scheduler::add(Sequence& sequence) { queue_.push(sequence); }

void Scheduler::plan(int64_t prompt_tokens_max, StepPlan& plan) {
  plan.clear();
  plan_decodes(plan);
  plan_others(prompt_tokens_max, plan);
  if (plan.slices.empty() && !running_.empty())
    rescue(std::min(limits_.batch_tokens_max, std::max(prompt_tokens_max, int64_t{1})), plan);
}

void Scheduler::plan_ahead(int64_t prompt_tokens_max, StepPlan& plan) {
  plan.clear();
  if (!plan_decodes_ahead(plan)) return plan.clear();
  plan_others(prompt_tokens_max, plan);
}

void Scheduler::plan_others(int64_t prompt_tokens_max, StepPlan& plan) {
  const int64_t budget =
      plan.tokens + std::min(limits_.batch_tokens_max - plan.tokens, std::max(prompt_tokens_max, int64_t{1}));
  plan_prompts(budget, plan);
  admit(budget, plan);
}

// One token each, the oldest first. Only here are pages taken from others, always from the youngest.
void Scheduler::plan_decodes(StepPlan& plan) {
  for (size_t i = 0; i < running_.size(); ++i) {
    Sequence& sequence = *running_[i];
    if (sequence.remaining() != 1) continue;
    if (!make_room(sequence, sequence.length())) return;  // it was the youngest itself, and went
    take(sequence, 1, plan);
  }
}

// Likewise without taking pages from anyone. Sequences that end with the token under way are left out. False: the step
// must wait for the tokens of the one before.
bool Scheduler::plan_decodes_ahead(StepPlan& plan) {
  for (Sequence* sequence : running_) {
    if (sequence->remaining() != 1 || sequence->length_ahead() >= sequence->length_max) continue;
    if (sequence->drawing > 0 && !sequence->rules.knows_next_but_one()) return false;
    if (!pool_->grow(sequence->pages, sequence->length_ahead())) return false;
    take(*sequence, 1, plan);
  }
  return true;
}

// Pieces of prompts of running sequences, as many tokens as pages and the budget allow.
void Scheduler::plan_prompts(int64_t budget, StepPlan& plan) {
  for (Sequence* sequence : running_) {
    if (plan.tokens >= budget) return;
    if (sequence->remaining() <= 1) continue;
    const int64_t count = std::min(sequence->remaining(), budget - plan.tokens);
    if (pool_->grow(sequence->pages, sequence->computed + count)) take(*sequence, count, plan);
  }
}

// New sequences, when all their tokens and a spare page for everyone who runs will fit.
void Scheduler::admit(int64_t budget, StepPlan& plan) {
  while (running() < limits_.sequences_max && plan.tokens < budget) {
    Sequence* sequence = queue_.front();
    if (sequence == nullptr) return;
    const int64_t cached = pool_->attach_prefix(sequence->tokens, sequence->pages);
    const int64_t missing =
        pool_->pages_for(sequence->length() + 1) - static_cast<int64_t>(sequence->pages.pages.size());
    const bool fits = running_.empty() || pool_->available() >= missing + running();
    if (!fits || soon_cached(*sequence, cached)) {
      pool_->release(sequence->pages);
      return;
    }
    queue_.pop_front();
    sequence->computed = cached;
    if (!sequence->admitted_before) {
      sequence->admitted_before = true;
      sequence->cached_tokens = static_cast<int32_t>(cached);
      plan.started.push_back(sequence);
    }
    const auto by_arrival = [](const Sequence* a, const Sequence* b) { return a->id < b->id; };
    running_.insert(std::upper_bound(running_.begin(), running_.end(), sequence, by_arrival), sequence);
    const int64_t count = std::min(sequence->remaining(), budget - plan.tokens);
    if (pool_->grow(sequence->pages, sequence->computed + count)) take(*sequence, count, plan);
  }
}

// Whether a running sequence is about to compute this one's next page: many requests with one beginning that come
// together wait for the first of them rather than compute it all at once.
bool Scheduler::soon_cached(const Sequence& sequence, int64_t cached) const {
  const int64_t page = pool_->page_tokens();
  if (!pool_->shares_prefixes() || sequence.length() <= cached + page) return false;
  const auto next_page = [&](const Sequence& s) {
    return std::span(s.tokens).subspan(static_cast<size_t>(cached), static_cast<size_t>(page));
  };
  return std::ranges::any_of(running_, [&](const Sequence* other) {
    return other->pages.node == sequence.pages.node && other->pages.shared * page == cached && other->remaining() > 1 &&
           other->length() >= cached + page && std::ranges::equal(next_page(*other), next_page(sequence));
  });
}

// Nothing could be planned: prompts hold each other's pages. The oldest goes on at the youngest's cost.
void Scheduler::rescue(int64_t budget, StepPlan& plan) {
  Sequence& oldest = *running_.front();
  const int64_t count = std::min(oldest.remaining(), budget);
  COVE_CHECK_MSG(make_room(oldest, oldest.computed + count), "a sequence longer than the whole cache was accepted");
  take(oldest, count, plan);
}

// False: the sequence itself was the youngest and has been put back.
bool Scheduler::make_room(Sequence& sequence, int64_t positions) {
  while (!pool_->grow(sequence.pages, positions)) {
    const bool own = running_.back() == &sequence;
    preempt_youngest();
    if (own) return false;
  }
  return true;
}

void Scheduler::preempt_youngest() {
  Sequence& victim = *running_.back();
  COVE_CHECK(victim.steps_under_way == 0);
  running_.pop_back();
  pool_->release(victim.pages);
  victim.computed = 0;
  queue_.push_preempted(victim);
  ++preemptions_;
}

void Scheduler::submitted(const StepPlan& plan) {
  int32_t row = 0;
  for (const PlannedSlice& slice : plan.slices) {
    Sequence& sequence = *slice.sequence;
    sequence.computed += slice.count;
    ++sequence.steps_under_way;
    if (slice.draws) {
      ++sequence.drawing;
      sequence.drawn_row = row++;
    }
    publish(sequence);
    queue_.charge(sequence.request.tenant, slice.count);
  }
}

void Scheduler::ended(const StepPlan& plan) {
  for (const PlannedSlice& slice : plan.slices) {
    Sequence& sequence = *slice.sequence;
    --sequence.steps_under_way;
    if (!sequence.finished) {
      publish(sequence);  // what was computed of tokens that were not known when the step was submitted
    } else if (sequence.steps_under_way == 0) {
      pool_->release(sequence.pages);
    }
  }
}

void Scheduler::publish(Sequence& sequence) {
  pool_->publish(sequence.tokens, std::min(sequence.computed, sequence.length()), sequence.pages);
}

void Scheduler::remove(Sequence& sequence) {
  if (queue_.remove(sequence)) return;
  const auto found = std::find(running_.begin(), running_.end(), &sequence);
  COVE_CHECK(found != running_.end());
  running_.erase(found);
  if (sequence.steps_under_way == 0) pool_->release(sequence.pages);
  queue_.finished(sequence.request.tenant);
}

}  // namespace cove::engine
