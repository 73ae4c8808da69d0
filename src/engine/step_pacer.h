#pragma once
// How many prompt tokens a step may take, so that it lasts about as long as wanted: others keep decoding and a
// cancelled request stops soon, whatever the device's speed. Engine thread only.

#include <algorithm>
#include <cstdint>

namespace cove::engine {

class StepPacer {
 public:
  StepPacer(int64_t target_ms, int64_t tokens_max)
      : target_s_(static_cast<double>(target_ms) / 1000.0), tokens_max_(tokens_max) {}

  int64_t prompt_tokens() const {
    if (target_s_ <= 0) return tokens_max_;
    if (tokens_per_s_ <= 0) return std::min(kFirst, tokens_max_);
    const double fitting = std::min(tokens_per_s_ * target_s_, static_cast<double>(tokens_max_));
    return std::min(std::max(static_cast<int64_t>(fitting), kLeast), tokens_max_);
  }
  // Small steps say little about the speed of large ones: weights are read for one token as for many.
  void record(int64_t tokens, double seconds) {
    if (tokens < kLeast || seconds <= 0) return;
    const double rate = static_cast<double>(tokens) / seconds;
    tokens_per_s_ = tokens_per_s_ <= 0 ? rate : tokens_per_s_ + 0.3 * (rate - tokens_per_s_);
  }

 private:
  static constexpr int64_t kFirst = 128;
  static constexpr int64_t kLeast = 32;
  double target_s_;
  int64_t tokens_max_;
  double tokens_per_s_ = 0;
};

}  // namespace cove::engine
