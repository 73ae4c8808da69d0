#pragma once
// A backend that forwards to another and runs a hook at the end of every step: to fail, to wait, to count. Header only;
// included by *_test.cc alone.

#include <functional>
#include <memory>
#include <utility>

#include "compute/backend.h"

namespace cove::testing {

class HookedBackend final : public Backend {
 public:
  HookedBackend(std::unique_ptr<Backend> inner, std::function<Status()> at_end_step, uint64_t memory_total = 0)
      : inner_(std::move(inner)), at_end_step_(std::move(at_end_step)), memory_total_(memory_total) {}

  // As a backend that rounds weights while it loads them; before it is used.
  void set_plan(std::function<LinearMemory(const LinearWeightDesc&)> plan) { plan_linear_ = std::move(plan); }

  DeviceInfo info() const override {
    DeviceInfo info = inner_->info();
    info.memory_total = memory_total_;
    info.memory_free = memory_total_;
    return info;
  }
  DType activation_dtype() const override { return inner_->activation_dtype(); }
  Status supports(const OpQuery& query) const override { return inner_->supports(query); }
  std::optional<LinearMemory> plan_linear(const LinearWeightDesc& desc) const override {
    return plan_linear_ ? plan_linear_(desc) : inner_->plan_linear(desc);
  }
  Result<std::unique_ptr<DeviceBuffer>> allocate(size_t bytes) override { return inner_->allocate(bytes); }
  Result<std::unique_ptr<LinearWeight>> load_linear(const LinearWeightDesc& desc) override {
    return inner_->load_linear(desc);
  }
  Result<std::unique_ptr<RowTable>> load_row_table(const TensorView& table) override {
    return inner_->load_row_table(table);
  }
  Result<ConstantVector> load_vector(std::span<const float> values) override { return inner_->load_vector(values); }
  Result<std::unique_ptr<KvCache>> make_kv_cache(const KvLayout& layout, int64_t pages) override {
    return inner_->make_kv_cache(layout, pages);
  }
  void begin_step(const StepBatch& step) override { inner_->begin_step(step); }
  void embed(const EmbedArgs& args) override { inner_->embed(args); }
  void rms_norm(const RmsNormArgs& args) override { inner_->rms_norm(args); }
  void linear(const LinearArgs& args) override { inner_->linear(args); }
  void rope_kv(const RopeKvArgs& args) override { inner_->rope_kv(args); }
  void attention(const AttentionArgs& args) override { inner_->attention(args); }
  void gather_rows(const GatherRowsArgs& args) override { inner_->gather_rows(args); }
  void sample(const SampleArgs& args) override { inner_->sample(args); }
  Status end_step() override {
    TRY(inner_->end_step());
    return at_end_step_();
  }
  bool runs_ahead() const override { return inner_->runs_ahead(); }
  Status submit_step() override { return inner_->submit_step(); }
  Status wait_step() override {
    TRY(inner_->wait_step());
    return at_end_step_();
  }
  void copy_page(const CopyPageArgs& args) override { inner_->copy_page(args); }
  Status read_back(const TensorView& view, std::span<std::byte> out) override { return inner_->read_back(view, out); }

 private:
  std::unique_ptr<Backend> inner_;
  std::function<Status()> at_end_step_;
  uint64_t memory_total_;
  std::function<LinearMemory(const LinearWeightDesc&)> plan_linear_;
};

}  // namespace cove::testing
