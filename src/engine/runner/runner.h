#pragma once
// Runs a planned step: the plan as arrays, the model's forward, one token drawn per finished slice. Engine thread only.

#include <memory>
#include <span>
#include <vector>

#include "compute/backend.h"
#include "engine/scheduler/scheduler.h"
#include "model/decoder.h"

namespace cove::engine {

class Runner {
 public:
  Runner(Backend& backend, model::Decoder& decoder, std::unique_ptr<KvCache> cache);

  // Draws one token for each slice that wants logits, in the plan's order: results().
  Status run(const StepPlan& plan);
  std::span<const SampleResult> results() const { return results_; }

 private:
  void lay_out(const StepPlan& plan);
  void add_slice(const PlannedSlice& slice);

  Backend* backend_;
  model::Decoder* decoder_;
  std::unique_ptr<KvCache> cache_;
  // The step's arrays (compute/step.h), kept between steps.
  std::vector<int32_t> tokens_;
  std::vector<int32_t> positions_;
  std::vector<int32_t> slots_;
  std::vector<SequenceSlice> sequences_;
  std::vector<int32_t> page_table_;
  std::vector<int32_t> logit_rows_;
  std::vector<SampleParams> params_;
  std::vector<SampleResult> results_;
};

}  // namespace cove::engine
