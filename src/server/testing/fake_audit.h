#pragma once
// An audit log in memory that fails and waits on command. Header only; tests alone include it.

#include <deque>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "services/audit/audit_log.h"

namespace cove::server::testing {

class FakeAudit final : public audit::Log {
 public:
  Result<Slot> admit() override {
    const std::lock_guard lock(mutex_);
    if (failing_ && refuses_) return Error{ErrorCode::kUnavailable, "the disk is full"};
    ++admitted_;
    return Slot();
  }
  void append(Slot /*slot*/, audit::Record record, OnDurable on_durable) override {
    {
      const std::lock_guard lock(mutex_);
      records_.push_back(std::move(record));
      if (holding_ && on_durable) {
        held_.push_back(std::move(on_durable));
        return;
      }
    }
    if (on_durable) on_durable(verdict());
  }
  audit::PromptForm prompt_form(std::string_view role) const override {
    const std::lock_guard lock(mutex_);
    return role == "auditor" ? audit::PromptForm::kNone : form_;
  }
  audit::OnFailure on_failure() const override {
    const std::lock_guard lock(mutex_);
    return refuses_ ? audit::OnFailure::kRefuse : audit::OnFailure::kWarn;
  }
  bool wait_for_durable() const override { return on_failure() == audit::OnFailure::kRefuse; }
  bool healthy() const override {
    const std::lock_guard lock(mutex_);
    return !failing_;
  }
  audit::LogStats stats() const override {
    const std::lock_guard lock(mutex_);
    audit::LogStats stats;
    stats.written = records_.size();
    stats.failures = failing_ ? 1 : 0;
    return stats;
  }
  Status flush() override { return {}; }
  Status close() override { return {}; }

  void set_failing(bool failing) {
    const std::lock_guard lock(mutex_);
    failing_ = failing;
  }
  void set_refuses(bool refuses) {
    const std::lock_guard lock(mutex_);
    refuses_ = refuses;
  }
  void set_form(audit::PromptForm form) {
    const std::lock_guard lock(mutex_);
    form_ = form;
  }
  // From now on nothing is durable until release().
  void hold() {
    const std::lock_guard lock(mutex_);
    holding_ = true;
  }
  void release() {
    std::deque<OnDurable> held;
    {
      const std::lock_guard lock(mutex_);
      holding_ = false;
      held.swap(held_);
    }
    for (OnDurable& tell : held) tell(verdict());
  }
  size_t held() const {
    const std::lock_guard lock(mutex_);
    return held_.size();
  }
  std::vector<audit::Record> take() {
    const std::lock_guard lock(mutex_);
    return std::exchange(records_, {});
  }
  size_t size() const {
    const std::lock_guard lock(mutex_);
    return records_.size();
  }

 private:
  void give_back() override {}
  Status verdict() const {
    const std::lock_guard lock(mutex_);
    return failing_ ? Status(Error{ErrorCode::kIo, "the disk is full"}) : Status();
  }

  mutable std::mutex mutex_;
  std::vector<audit::Record> records_;
  std::deque<OnDurable> held_;
  audit::PromptForm form_ = audit::PromptForm::kFull;
  bool failing_ = false;
  bool refuses_ = true;
  bool holding_ = false;
  size_t admitted_ = 0;
};

}  // namespace cove::server::testing
