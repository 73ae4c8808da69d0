// Stands in for hyperscan_matcher.cc where libhs is missing.
#include "services/plugins/words/word_matcher.h"

namespace cove::plugins {

Result<std::unique_ptr<WordMatcher>> make_hyperscan(std::span<const std::string>) {
  return std::unique_ptr<WordMatcher>();
}

}  // namespace cove::plugins
