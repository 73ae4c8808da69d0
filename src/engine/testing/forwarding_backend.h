#pragma once
// A backend that forwards everything to another: what backends of tests change a part of. Header only; included by
// *_test.cc alone.

#include <memory>
#include <utility>

#include "compute/backend.h"

namespace cove::testing {

class ForwardingBackend : public Backend {
 public:
  explicit ForwardingBackend(std::unique_ptr<Backend> inner) : inner_(std::move(inner)) {}

  DeviceInfo info() const override { return inner_->info(); }
  DType activation_dtype() const override { return inner_->activation_dtype(); }
  Status supports(const OpQuery& query) const override { return inner_->supports(query); }
  std::optional<LinearMemory> plan_linear(const LinearWeightDesc& desc) const override {
    return inner_->plan_linear(desc);
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
  Status end_step() override { return inner_->end_step(); }
  bool runs_ahead() const override { return inner_->runs_ahead(); }
  Status submit_step() override { return inner_->submit_step(); }
  Status wait_step() override { return inner_->wait_step(); }
  void copy_page(const CopyPageArgs& args) override { inner_->copy_page(args); }
  Status read_back(const TensorView& view, std::span<std::byte> out) override { return inner_->read_back(view, out); }

 protected:
  Backend& inner() const { return *inner_; }

 private:
  std::unique_ptr<Backend> inner_;
};

}  // namespace cove::testing
