#pragma once
// Runs planned steps: the plan as arrays, the model's forward, one token drawn per slice that reaches its sequence's
// end. Where the backend runs ahead, a step may be submitted while one is under way. Engine thread only.

#include <array>
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

  // Whether a step may be submitted while one is under way: the backend can, and the host draws none of its tokens.
  bool can_run_ahead() const;
  Status submit(const StepPlan& plan);
  // Waits for the oldest step submitted. Its drawn tokens, one for each slice that draws, in the plan's order; valid
  // until the next but one is submitted.
  Result<std::span<const SampleResult>> wait();

 private:
  // A step's arrays (compute/step.h); the backend may read them until the step has ended. Kept between steps.
  struct Step {
    std::vector<int32_t> tokens;
    std::vector<int32_t> positions;
    std::vector<int32_t> slots;
    std::vector<SequenceSlice> sequences;
    std::vector<int32_t> page_table;
    std::vector<int32_t> logit_rows;
    std::vector<SampleParams> params;
    std::vector<SampleResult> results;
    StepBatch batch;

    void clear();
  };
  void lay_out(const StepPlan& plan, Step& step) const;
  void add_slice(const PlannedSlice& slice, Step& step) const;

  Backend* backend_;
  model::Decoder* decoder_;
  std::unique_ptr<KvCache> cache_;
  std::array<Step, 2> steps_;  // in turns
  size_t next_ = 0;            // of steps_
  size_t under_way_ = 0;
};

}  // namespace cove::engine
