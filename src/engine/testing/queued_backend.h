#pragma once
// A backend that runs ahead, over one that does not: operations are queued and computed as late as the contract allows,
// when their step is waited for. It checks what a caller owes (compute/backend.h). Header only; included by *_test.cc
// alone.

#include <algorithm>
#include <deque>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "base/check.h"
#include "engine/testing/forwarding_backend.h"

namespace cove::testing {

class QueuedBackend final : public ForwardingBackend {
 public:
  explicit QueuedBackend(std::unique_ptr<Backend> inner) : ForwardingBackend(std::move(inner)) {}

  void begin_step(const StepBatch& step) override {
    COVE_CHECK(begun_ == 0 && steps_.size() < 2);
    for (const Step& before : steps_) {
      for (const SampleParams& params : before.sampling.params) COVE_CHECK(draws_unaided(params));
    }
    for (const int32_t token : step.tokens) {
      if (is_drawn_before(token)) COVE_CHECK(static_cast<size_t>(row_of_drawn(token)) < rows_before_);
    }
    steps_.emplace_back();
    begun_ = 1;
    queue([&step](Backend& backend) { backend.begin_step(step); });
  }
  void embed(const EmbedArgs& args) override {
    queue([this, args](Backend& backend) {
      fed_.assign(args.tokens.begin(), args.tokens.end());
      for (int32_t& token : fed_) {
        if (is_drawn_before(token)) token = std::max(drawn_[static_cast<size_t>(row_of_drawn(token))], 0);
      }
      EmbedArgs known = args;
      known.tokens = fed_;
      backend.embed(known);
    });
  }
  void rms_norm(const RmsNormArgs& args) override {
    queue([args](Backend& backend) { backend.rms_norm(args); });
  }
  void linear(const LinearArgs& args) override {
    queue([args](Backend& backend) { backend.linear(args); });
  }
  void rope_kv(const RopeKvArgs& args) override {
    queue([args](Backend& backend) { backend.rope_kv(args); });
  }
  void attention(const AttentionArgs& args) override {
    queue([args](Backend& backend) { backend.attention(args); });
  }
  void gather_rows(const GatherRowsArgs& args) override {
    queue([args](Backend& backend) { backend.gather_rows(args); });
  }
  void sample(const SampleArgs& args) override {
    steps_.back().sampling = args;
    queue([args](Backend& backend) { backend.sample(args); });
  }
  Status end_step() override {
    TRY(submit_step());
    return wait_step();
  }
  bool runs_ahead() const override { return true; }
  Status submit_step() override {
    COVE_CHECK(begun_ == 1);
    begun_ = 0;
    rows_before_ = steps_.back().sampling.params.size();
    most_under_way_ = std::max(most_under_way_, steps_.size());
    return {};
  }
  Status wait_step() override {
    COVE_CHECK(begun_ == 0 && !steps_.empty());
    const Step step = std::move(steps_.front());
    steps_.pop_front();
    for (const Operation& operation : step.operations) operation(inner());
    TRY(inner().end_step());
    drawn_.clear();
    for (const SampleResult& result : step.sampling.results) drawn_.push_back(result.token);
    return {};
  }
  Status read_back(const TensorView& view, std::span<std::byte> out) override {
    COVE_CHECK(steps_.empty());
    return inner().read_back(view, out);
  }

  size_t most_under_way() const { return most_under_way_; }

 private:
  using Operation = std::function<void(Backend&)>;
  struct Step {
    std::vector<Operation> operations;
    SampleArgs sampling;
  };
  void queue(Operation operation) { steps_.back().operations.push_back(std::move(operation)); }

  std::deque<Step> steps_;      // the oldest first; the last may still be collected
  size_t begun_ = 0;            // 1 while it is
  size_t rows_before_ = 0;      // that the step submitted last draws
  std::vector<int32_t> drawn_;  // by the step that ended last
  std::vector<int32_t> fed_;
  size_t most_under_way_ = 0;
};

}  // namespace cove::testing
