#pragma once
// Finds all occurrences of many words in a stream of bytes. Two implementations that find the same: Hyperscan where it
// runs (x86 with SSSE3), an Aho-Corasick automaton everywhere.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace cove::plugins {

struct WordMatch {
  uint32_t word = 0;  // index into the words
  uint64_t end = 0;   // bytes from the stream's beginning
};

// One text. One thread at a time.
class MatchStream {
 public:
  virtual ~MatchStream() = default;
  // Appends what ends in `bytes`, in no order.
  virtual void scan(std::string_view bytes, std::vector<WordMatch>& out) = 0;
};

// Immutable; any thread. Outlives its streams.
class WordMatcher {
 public:
  virtual ~WordMatcher() = default;
  virtual std::unique_ptr<MatchStream> open() const = 0;
  virtual std::string_view name() const = 0;
};

// `words`: not empty, none empty, none twice.
std::unique_ptr<WordMatcher> make_aho_corasick(std::span<const std::string> words);
// Null where Hyperscan was not built in or the processor cannot run it. Errors: kResourceExhausted.
Result<std::unique_ptr<WordMatcher>> make_hyperscan(std::span<const std::string> words);
// The faster of the two.
Result<std::unique_ptr<WordMatcher>> make_matcher(std::span<const std::string> words);

}  // namespace cove::plugins
