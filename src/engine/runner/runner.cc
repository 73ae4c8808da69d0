#include "engine/runner/runner.h"

namespace cove::engine {

Runner::Runner(Backend& backend, model::Decoder& decoder, std::unique_ptr<KvCache> cache)
    : backend_(&backend), decoder_(&decoder), cache_(std::move(cache)) {}

Status Runner::run(const StepPlan& plan) {
  lay_out(plan);
  const StepBatch step{.tokens = tokens_,
                       .positions = positions_,
                       .slots = slots_,
                       .sequences = sequences_,
                       .page_table = page_table_,
                       .logit_rows = logit_rows_};
  backend_->begin_step(step);
  const TensorView logits = decoder_->forward(step, *cache_);
  if (!params_.empty()) backend_->sample({.logits = logits, .params = params_, .results = results_});
  return backend_->end_step();
}

void Runner::lay_out(const StepPlan& plan) {
  tokens_.clear();
  positions_.clear();
  slots_.clear();
  sequences_.clear();
  page_table_.clear();
  logit_rows_.clear();
  params_.clear();
  for (const PlannedSlice& slice : plan.slices) add_slice(slice);
  results_.resize(params_.size());
}

void Runner::add_slice(const PlannedSlice& slice) {
  Sequence& sequence = *slice.sequence;
  const int64_t page_tokens = cache_->layout.page_tokens;
  const int64_t end = sequence.computed + slice.count;
  const int64_t pages = (end + page_tokens - 1) / page_tokens;
  sequences_.push_back({.token_begin = static_cast<int32_t>(tokens_.size()),
                        .token_count = static_cast<int32_t>(slice.count),
                        .kv_length = static_cast<int32_t>(end),
                        .page_begin = static_cast<int32_t>(page_table_.size())});
  for (int64_t position = sequence.computed; position < end; ++position) {
    const PageId page = sequence.pages.pages[static_cast<size_t>(position / page_tokens)];
    tokens_.push_back(sequence.tokens[static_cast<size_t>(position)]);
    positions_.push_back(static_cast<int32_t>(position));
    slots_.push_back(static_cast<int32_t>(page * page_tokens + position % page_tokens));
  }
  page_table_.insert(page_table_.end(), sequence.pages.pages.begin(), sequence.pages.pages.begin() + pages);
  if (!slice.wants_logits()) return;
  logit_rows_.push_back(static_cast<int32_t>(tokens_.size()) - 1);
  params_.push_back(sequence.rules.next(sequence.tokens));
}

}  // namespace cove::engine
