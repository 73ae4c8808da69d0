#include "engine/output/stop_matcher.h"

#include <algorithm>
#include <utility>

namespace cove::engine {

bool StopMatcher::find_match(size_t& begin) {
  size_t best_end = std::string::npos;
  for (const std::string& stop : stops_) {
    const size_t found = held_.find(stop);
    if (found == std::string::npos) continue;
    const size_t end = found + stop.size();
    if (best_end != std::string::npos && (end > best_end || (end == best_end && found >= begin))) continue;
    best_end = end;
    begin = found;
    matched_ = stop;
  }
  return best_end != std::string::npos;
}

// All but the longest end of `held_` that a stop string begins with.
size_t StopMatcher::certain_bytes() const {
  size_t waiting = 0;
  for (const std::string& stop : stops_) {
    for (size_t length = std::min(stop.size() - 1, held_.size()); length > waiting; --length) {
      if (std::string_view(held_).ends_with(std::string_view(stop).substr(0, length))) waiting = length;
    }
  }
  return held_.size() - waiting;
}

std::string StopMatcher::push(std::string_view text) {
  if (matched_) return {};
  if (stops_.empty()) return std::string(text);
  held_.append(text);
  size_t begin = 0;
  const size_t certain = find_match(begin) ? begin : certain_bytes();
  std::string out = held_.substr(0, certain);
  held_.erase(0, certain);
  return out;
}

std::string StopMatcher::finish() {
  if (matched_) return {};
  return std::exchange(held_, {});
}

}  // namespace cove::engine
