#pragma once
// A backend that forwards to another and runs a hook at the end of every step: to fail, to wait, to count. Header only;
// included by *_test.cc alone.

#include <functional>
#include <memory>
#include <utility>

#include "engine/testing/forwarding_backend.h"

namespace cove::testing {

class HookedBackend final : public ForwardingBackend {
 public:
  HookedBackend(std::unique_ptr<Backend> inner, std::function<Status()> at_end_step, uint64_t memory_total = 0)
      : ForwardingBackend(std::move(inner)), at_end_step_(std::move(at_end_step)), memory_total_(memory_total) {}

  // As a backend that rounds weights while it loads them; before it is used.
  void set_plan(std::function<LinearMemory(const LinearWeightDesc&)> plan) { plan_linear_ = std::move(plan); }

  DeviceInfo info() const override {
    DeviceInfo info = inner().info();
    info.memory_total = memory_total_;
    info.memory_free = memory_total_;
    return info;
  }
  std::optional<LinearMemory> plan_linear(const LinearWeightDesc& desc) const override {
    return plan_linear_ ? plan_linear_(desc) : inner().plan_linear(desc);
  }
  Status end_step() override {
    TRY(inner().end_step());
    return at_end_step_();
  }
  Status wait_step() override {
    TRY(inner().wait_step());
    return at_end_step_();
  }

 private:
  std::function<Status()> at_end_step_;
  uint64_t memory_total_;
  std::function<LinearMemory(const LinearWeightDesc&)> plan_linear_;
};

}  // namespace cove::testing
