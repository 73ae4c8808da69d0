#pragma once
// How long a step will take, from steps of about as many tokens: while one runs, the next is planned no earlier than it
// must be, so that whoever arrives or cancels meanwhile counts for it. Engine thread only.

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace cove::engine {

class StepForecast {
 public:
  void record(int64_t tokens, double seconds) {
    double& known = seconds_[bucket(tokens)];
    known = known <= 0 || seconds < known ? seconds : known + 0.1 * (seconds - known);  // rather too short
  }
  // How long after its beginning the next step can still be planned in time; 0 = plan it at once: not known, or too
  // short to wait in.
  double planning_s(int64_t tokens) const {
    const double known = seconds_[bucket(tokens)];
    return known < kLeast ? 0 : 0.75 * known;
  }

 private:
  static constexpr double kLeast = 0.002;  // whose last quarter is enough to plan and submit in
  // Four for each doubling.
  static size_t bucket(int64_t tokens) {
    const auto n = static_cast<uint64_t>(std::max<int64_t>(tokens, 1));
    const auto width = static_cast<size_t>(std::bit_width(n));
    return std::min(4 * width + static_cast<size_t>(n * 8 >> width) - 4, kBuckets - 1);
  }
  static constexpr size_t kBuckets = 128;
  std::array<double, kBuckets> seconds_{};
};

}  // namespace cove::engine
