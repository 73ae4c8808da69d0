#include "engine/scheduler/scheduler.h"

#include <gtest/gtest.h>

#include "engine/testing/byte_tokenizer.h"

namespace cove::engine {
namespace {

class NoSink final : public TokenSink {
  void on_output(const Output&) override {}
  void on_finish(const Finish&) override {}
};

// A scheduler whose model is "append token 1".
class Bench {
 public:
  Bench(const SchedulerLimits& limits, int64_t pages, PrefixSharing sharing = PrefixSharing::kOff)
      : pool(pages, 4, sharing), scheduler(limits, pool) {}

  Sequence& add(size_t prompt, const std::string& tenant = "", int32_t first = 0) {
    Request request;
    request.tenant = tenant;
    request.prompt.assign(prompt, 7);
    request.prompt[0] = first;
    return add(std::move(request));
  }
  Sequence& add(Request request) {
    sequences_.push_back(std::make_unique<Sequence>(sequences_.size() + 1, std::move(request),
                                                    std::make_shared<NoSink>(), tokenizer_,
                                                    TokenRulesContext{.vocab = 257, .eos_ids = {}}));
    scheduler.add(*sequences_.back());
    return *sequences_.back();
  }

  // Plans and "runs" a step: (id, tokens) of each slice.
  std::vector<std::pair<RequestId, int64_t>> step(int64_t prompt_tokens = 1000) {
    scheduler.plan(prompt_tokens, plan);
    scheduler.submitted(plan);
    end(plan);
    return slices_of(plan);
  }
  // Plans and submits a step, the one before being under way.
  std::vector<std::pair<RequestId, int64_t>> ahead(StepPlan& next) {
    scheduler.plan_ahead(1000, next);
    scheduler.submitted(next);
    return slices_of(next);
  }
  void end(const StepPlan& ended) {
    scheduler.ended(ended);
    for (const PlannedSlice& slice : ended.slices) {
      if (!slice.draws) continue;
      --slice.sequence->drawing;
      if (!slice.sequence->finished) slice.sequence->tokens.push_back(1);
    }
  }
  static std::vector<std::pair<RequestId, int64_t>> slices_of(const StepPlan& planned) {
    std::vector<std::pair<RequestId, int64_t>> slices;
    for (const PlannedSlice& slice : planned.slices) slices.emplace_back(slice.sequence->id, slice.count);
    return slices;
  }

  KvPool pool;
  Scheduler scheduler;
  StepPlan plan;

 private:
  testing::ByteTokenizer tokenizer_;
  std::vector<std::unique_ptr<Sequence>> sequences_;
};

using Slices = std::vector<std::pair<RequestId, int64_t>>;

TEST(Scheduler, decodes_first_then_prompts_in_pieces_then_new_ones) {
  Bench bench({.batch_tokens_max = 10, .sequences_max = 8}, 100);
  bench.add(3);
  EXPECT_EQ(bench.step(), (Slices{{1, 3}}));
  bench.add(15);
  EXPECT_EQ(bench.step(), (Slices{{1, 1}, {2, 9}}));
  bench.add(3);
  EXPECT_EQ(bench.step(), (Slices{{1, 1}, {2, 6}, {3, 3}}));
  EXPECT_EQ(bench.step(), (Slices{{1, 1}, {2, 1}, {3, 1}}));
}

TEST(Scheduler, the_prompt_budget_cuts_prompts_but_not_decodes) {
  Bench bench({.batch_tokens_max = 100, .sequences_max = 8}, 100);
  bench.add(2);
  bench.step();
  bench.add(50);
  EXPECT_EQ(bench.step(4), (Slices{{1, 1}, {2, 4}}));
}

TEST(Scheduler, runs_no_more_sequences_than_allowed) {
  Bench bench({.batch_tokens_max = 10, .sequences_max = 2}, 100);
  for (int i = 0; i < 3; ++i) bench.add(1);
  EXPECT_EQ(bench.step(), (Slices{{1, 1}, {2, 1}}));
  EXPECT_EQ(bench.scheduler.waiting(), 1);
}

TEST(Scheduler, preempts_the_youngest_and_brings_it_back) {
  Bench bench({.batch_tokens_max = 64, .sequences_max = 4}, 8);  // 32 positions
  Sequence& first = bench.add(8);
  Sequence& second = bench.add(8);
  while (bench.scheduler.preemptions() == 0) {
    bench.step();
    ASSERT_LT(first.length(), 32);
  }
  EXPECT_EQ(bench.scheduler.running(), 1);
  EXPECT_EQ(second.computed, 0);
  const int64_t length = second.length();
  bench.scheduler.remove(first);
  EXPECT_EQ(bench.step(), (Slices{{2, length}}));  // all of it again, the generated tokens too
  bench.scheduler.remove(second);
  EXPECT_TRUE(bench.pool.check_idle_integrity());
}

TEST(Scheduler, a_preempted_sequence_comes_before_new_ones) {
  Bench bench({.batch_tokens_max = 64, .sequences_max = 4}, 8);
  Sequence& first = bench.add(8);
  Sequence& second = bench.add(8);
  while (bench.scheduler.preemptions() == 0) bench.step();
  Sequence& third = bench.add(1);
  bench.scheduler.remove(first);
  EXPECT_EQ(bench.step().front().first, second.id);
  bench.scheduler.remove(second);
  bench.scheduler.remove(third);
  EXPECT_TRUE(bench.pool.check_idle_integrity());
}

TEST(Scheduler, long_prompts_that_hold_each_others_pages_go_on) {
  Bench bench({.batch_tokens_max = 8, .sequences_max = 4}, 8);
  Sequence& first = bench.add(28);
  bench.step();
  Sequence& second = bench.add(28);
  for (int i = 0; i < 200 && first.length() < 32; ++i) ASSERT_FALSE(bench.step().empty());
  EXPECT_EQ(first.length(), 32);
  bench.scheduler.remove(first);
  for (int i = 0; i < 200 && second.length() < 32; ++i) ASSERT_FALSE(bench.step().empty());
  EXPECT_EQ(second.length(), 32);
  bench.scheduler.remove(second);
  EXPECT_TRUE(bench.pool.check_idle_integrity());
}

TEST(Scheduler, a_tenant_with_many_requests_does_not_hold_up_another) {
  Bench bench({.batch_tokens_max = 64, .sequences_max = 1}, 100);
  std::vector<Sequence*> greedy;
  greedy.reserve(10);
  for (int i = 0; i < 10; ++i) greedy.push_back(&bench.add(4, "greedy"));
  bench.step();
  Sequence& modest = bench.add(4, "modest");
  bench.scheduler.remove(*greedy[0]);
  EXPECT_EQ(bench.step().front().first, modest.id);
}

TEST(Scheduler, shares_service_between_tenants_by_tokens) {
  Bench bench({.batch_tokens_max = 64, .sequences_max = 1}, 100);
  std::map<std::string, int64_t> served;
  std::vector<Sequence*> all;
  for (int i = 0; i < 40; ++i) {
    all.push_back(&bench.add(30, "long"));
    all.push_back(&bench.add(10, "short"));
  }
  for (int i = 0; i < 40; ++i) {
    const RequestId id = bench.step().front().first;
    Sequence& sequence = *all[id - 1];
    served[sequence.request.tenant] += sequence.prompt_tokens;
    bench.scheduler.remove(sequence);
  }
  EXPECT_NEAR(static_cast<double>(served["long"]), static_cast<double>(served["short"]), 30.0);
}

TEST(Scheduler, a_shared_beginning_is_computed_once) {
  Bench bench({.batch_tokens_max = 64, .sequences_max = 4}, 100, PrefixSharing::kOn);
  bench.add(17);
  EXPECT_EQ(bench.step(), (Slices{{1, 17}}));
  Sequence& second = bench.add(17);
  EXPECT_EQ(bench.step(), (Slices{{1, 1}, {2, 1}}));
  EXPECT_EQ(second.cached_tokens, 16);
}

TEST(Scheduler, requests_that_begin_alike_and_come_together_wait_for_the_first) {
  Bench bench({.batch_tokens_max = 64, .sequences_max = 4}, 100, PrefixSharing::kOn);
  bench.add(17);
  bench.add(17);
  bench.add(17, "", 5);  // another beginning
  EXPECT_EQ(bench.step(), (Slices{{1, 17}}));
  EXPECT_EQ(bench.step(), (Slices{{1, 1}, {2, 1}, {3, 17}}));
}

TEST(Scheduler, short_prompts_that_are_alike_do_not_wait) {
  Bench bench({.batch_tokens_max = 64, .sequences_max = 4}, 100, PrefixSharing::kOn);
  bench.add(4);
  bench.add(4);
  EXPECT_EQ(bench.step(), (Slices{{1, 4}, {2, 4}}));
}

TEST(Scheduler, removing_a_waiting_sequence_leaves_nothing_behind) {
  Bench bench({.batch_tokens_max = 8, .sequences_max = 1}, 8);
  Sequence& running = bench.add(4);
  Sequence& waiting = bench.add(4);
  bench.step();
  bench.scheduler.remove(waiting);
  EXPECT_EQ(bench.scheduler.waiting(), 0);
  bench.scheduler.remove(running);
  EXPECT_TRUE(bench.pool.check_idle_integrity());
}

// --- The next step planned while one is under way ---

TEST(SchedulerAhead, goes_on_with_tokens_that_are_being_drawn) {
  Bench bench({.batch_tokens_max = 10, .sequences_max = 8}, 100);
  Sequence& first = bench.add(3);
  bench.add(15);
  bench.scheduler.plan(1000, bench.plan);
  bench.scheduler.submitted(bench.plan);
  EXPECT_EQ(Bench::slices_of(bench.plan), (Slices{{1, 3}, {2, 7}}));
  StepPlan next;
  EXPECT_EQ(bench.ahead(next), (Slices{{1, 1}, {2, 8}}));
  EXPECT_EQ(next.slices[0].begin, 3);
  EXPECT_TRUE(next.slices[0].draws && next.slices[1].draws);
  EXPECT_EQ(first.length(), 3);
  EXPECT_EQ(first.drawing, 2);
  bench.end(bench.plan);
  EXPECT_EQ(bench.ahead(bench.plan), (Slices{{1, 1}, {2, 1}}));
  EXPECT_EQ(bench.plan.slices[0].begin, 4);
}

TEST(SchedulerAhead, leaves_out_who_ends_with_the_token_under_way) {
  Bench bench({.batch_tokens_max = 10, .sequences_max = 8}, 100);
  bench.add(3).length_max = 4;
  bench.add(2);
  bench.scheduler.plan(1000, bench.plan);
  bench.scheduler.submitted(bench.plan);
  StepPlan next;
  EXPECT_EQ(bench.ahead(next), (Slices{{2, 1}}));
}

TEST(SchedulerAhead, waits_when_the_next_draw_depends_on_the_token_under_way) {
  Bench bench({.batch_tokens_max = 10, .sequences_max = 8}, 100);
  bench.add(3);
  Request request;
  request.prompt = {1, 2};
  request.sampling.frequency_penalty = 1;
  bench.add(std::move(request));
  bench.scheduler.plan(1000, bench.plan);
  bench.scheduler.submitted(bench.plan);
  StepPlan next;
  EXPECT_EQ(bench.ahead(next), Slices());
  bench.end(bench.plan);
  EXPECT_EQ(bench.step(), (Slices{{1, 1}, {2, 1}}));
}

TEST(SchedulerAhead, takes_no_pages_from_others) {
  Bench bench({.batch_tokens_max = 64, .sequences_max = 4}, 8);  // 32 positions
  bench.add(8);
  bench.add(8);
  for (int i = 0; i < 8; ++i) bench.step();
  bench.scheduler.plan(1000, bench.plan);  // the sixteenth position of each
  bench.scheduler.submitted(bench.plan);
  EXPECT_EQ(Bench::slices_of(bench.plan), (Slices{{1, 1}, {2, 1}}));
  StepPlan next;
  EXPECT_EQ(bench.ahead(next), Slices());
  EXPECT_EQ(bench.scheduler.preemptions(), 0U);
  bench.end(bench.plan);
  EXPECT_EQ(bench.step(), (Slices{{1, 1}}));
  EXPECT_EQ(bench.scheduler.preemptions(), 1U);
}

TEST(SchedulerAhead, a_finished_sequences_pages_come_back_when_its_steps_have_ended) {
  Bench bench({.batch_tokens_max = 64, .sequences_max = 4}, 8);
  Sequence& sequence = bench.add(5);
  bench.scheduler.plan(1000, bench.plan);
  bench.scheduler.submitted(bench.plan);
  StepPlan next;
  bench.ahead(next);
  bench.end(bench.plan);
  sequence.finished = true;
  bench.scheduler.remove(sequence);
  EXPECT_EQ(bench.scheduler.running(), 0);
  EXPECT_EQ(bench.pool.used(), 2);
  bench.end(next);
  EXPECT_EQ(bench.pool.used(), 0);
  EXPECT_TRUE(bench.pool.check_idle_integrity());
}

TEST(SchedulerAhead, a_prompt_under_way_is_shared_with_those_who_begin_alike) {
  Bench bench({.batch_tokens_max = 64, .sequences_max = 4}, 100, PrefixSharing::kOn);
  bench.add(17);
  bench.scheduler.plan(1000, bench.plan);
  bench.scheduler.submitted(bench.plan);
  Sequence& second = bench.add(17);
  StepPlan next;
  EXPECT_EQ(bench.ahead(next), (Slices{{1, 1}, {2, 1}}));
  EXPECT_EQ(second.cached_tokens, 16);
}

}  // namespace
}  // namespace cove::engine
