#pragma once
// One request's tokens to text: whole characters only, cut at the stop strings.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/output/stop_matcher.h"
#include "text/tokenizer/tokenizer.h"

namespace cove::engine {

class OutputStream {
 public:
  OutputStream(const text::Tokenizer& tokenizer, std::vector<std::string> stops)
      : detokenizer_(tokenizer), stops_(std::move(stops)) {}

  // Text that became certain with this token, maybe empty.
  std::string push(int32_t token) { return stops_.push(detokenizer_.push(token)); }
  // What is left when no more tokens come; a stop string may still complete in it.
  std::string finish() {
    std::string text = stops_.push(detokenizer_.finish());
    text += stops_.finish();
    return text;
  }
  const std::optional<std::string>& stopped_at() const { return stops_.matched(); }

 private:
  text::StreamingDetokenizer detokenizer_;
  StopMatcher stops_;
};

}  // namespace cove::engine
