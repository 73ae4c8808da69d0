#include "engine/runner/runner.h"

#include <algorithm>

#include "base/check.h"

namespace cove::engine {

Runner::Runner(Backend& backend, model::Decoder& decoder, std::unique_ptr<KvCache> cache)
    : backend_(&backend), decoder_(&decoder), cache_(std::move(cache)) {}

bool Runner::can_run_ahead() const {
  if (under_way_ == 0) return true;
  if (under_way_ > 1 || !backend_->runs_ahead()) return false;
  return std::ranges::all_of(steps_[1 - next_].params, draws_unaided);
}

Status Runner::submit(const StepPlan& plan) {
  COVE_CHECK(can_run_ahead());
  Step& step = steps_[next_];
  lay_out(plan, step);
  backend_->begin_step(step.batch);
  const TensorView logits = decoder_->forward(step.batch, *cache_);
  if (!step.params.empty()) backend_->sample({.logits = logits, .params = step.params, .results = step.results});
  TRY(backend_->submit_step());
  next_ = 1 - next_;
  ++under_way_;
  return {};
}

Result<std::span<const SampleResult>> Runner::wait() {
  COVE_CHECK(under_way_ > 0);
  const Step& oldest = steps_[under_way_ == 1 ? 1 - next_ : next_];
  --under_way_;
  TRY(backend_->wait_step());
  return std::span<const SampleResult>(oldest.results);
}

void Runner::Step::clear() {
  tokens.clear();
  positions.clear();
  slots.clear();
  sequences.clear();
  page_table.clear();
  logit_rows.clear();
  params.clear();
}

void Runner::lay_out(const StepPlan& plan, Step& step) const {
  step.clear();
  for (const PlannedSlice& slice : plan.slices) add_slice(slice, step);
  step.results.resize(step.params.size());
  step.batch = {.tokens = step.tokens,
                .positions = step.positions,
                .slots = step.slots,
                .sequences = step.sequences,
                .page_table = step.page_table,
                .logit_rows = step.logit_rows};
}

void Runner::add_slice(const PlannedSlice& slice, Step& step) const {
  Sequence& sequence = *slice.sequence;
  const int64_t page_tokens = cache_->layout.page_tokens;
  const int64_t end = slice.begin + slice.count;
  const int64_t pages = (end + page_tokens - 1) / page_tokens;
  COVE_CHECK(sequence.drawing <= 1 && end <= sequence.length_ahead());
  step.sequences.push_back({.token_begin = static_cast<int32_t>(step.tokens.size()),
                            .token_count = static_cast<int32_t>(slice.count),
                            .kv_length = static_cast<int32_t>(end),
                            .page_begin = static_cast<int32_t>(step.page_table.size())});
  for (int64_t position = slice.begin; position < end; ++position) {
    const PageId page = sequence.pages.pages[static_cast<size_t>(position / page_tokens)];
    const bool is_known = position < sequence.length();
    step.tokens.push_back(is_known ? sequence.tokens[static_cast<size_t>(position)] : drawn_in_row(sequence.drawn_row));
    step.positions.push_back(static_cast<int32_t>(position));
    step.slots.push_back(static_cast<int32_t>(page * page_tokens + position % page_tokens));
  }
  step.page_table.insert(step.page_table.end(), sequence.pages.pages.begin(), sequence.pages.pages.begin() + pages);
  if (!slice.draws) return;
  step.logit_rows.push_back(static_cast<int32_t>(step.tokens.size()) - 1);
  step.params.push_back(sequence.drawing == 0 ? sequence.rules.next(sequence.tokens)
                                              : sequence.rules.next_but_one(sequence.tokens));
}

}  // namespace cove::engine
