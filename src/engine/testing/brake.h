#pragma once
// A backend whose steps do not end before a test allows it. Header only; included by *_test.cc alone.

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>

#include "engine/testing/engine_fixture.h"

namespace cove::testing {

class Brake {
 public:
  std::unique_ptr<Backend> backend(std::unique_ptr<Backend> inner = make_reference_backend()) {
    return std::make_unique<HookedBackend>(std::move(inner), [this]() -> Status {
      std::unique_lock lock(mutex_);
      ++at_brake_;
      changed_.notify_all();
      changed_.wait_for(lock, kPatience, [this] { return steps_ > 0 || released_; });
      if (steps_ > 0) --steps_;
      if (fail_) return make_error(ErrorCode::kInternal, "the device fell off the bus");
      return {};
    });
  }
  void wait_for_step(int number) {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, kPatience, [&] { return at_brake_ >= number; }));
  }
  void allow(int steps) {
    set([&] { steps_ += steps; });
  }
  void release() {
    set([&] { released_ = true; });
  }
  void fail() {
    set([&] { fail_ = released_ = true; });
  }

 private:
  void set(const std::function<void()>& change) {
    const std::lock_guard lock(mutex_);
    change();
    changed_.notify_all();
  }
  std::mutex mutex_;
  std::condition_variable changed_;
  int at_brake_ = 0;
  int steps_ = 0;
  bool released_ = false;
  bool fail_ = false;
};

}  // namespace cove::testing
