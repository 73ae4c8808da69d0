#pragma once
// Finds stop strings in text that comes in pieces. Text that may be the beginning of one waits. The result does not
// depend on how the text was cut: the match that ends first wins, the longest of several that end together.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace cove::engine {

class StopMatcher {
 public:
  explicit StopMatcher(std::vector<std::string> stops) : stops_(std::move(stops)) {}

  // Text that is certain now, never any part of a stop string. After a match: nothing any more.
  std::string push(std::string_view text);
  // What was held back, when no more text comes.
  std::string finish();
  const std::optional<std::string>& matched() const { return matched_; }

 private:
  bool find_match(size_t& begin);
  size_t certain_bytes() const;

  std::vector<std::string> stops_;
  std::string held_;
  std::optional<std::string> matched_;
};

}  // namespace cove::engine
