#pragma once
// Behind `cove eval --logits`: what a model computes, as numbers, for given token ids, so that another implementation
// can be compared with it (tools/gpu_oracle.py does). One JSON object a line in, one a line out.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "logit_reader.h"

namespace cove::app {

struct LogitRequest {
  std::vector<int32_t> ids;        // the prompt, read in steps of the reader's chunk_tokens
  std::vector<int32_t> positions;  // ascending indices of ids whose logits are wanted
  int64_t greedy = 0;              // steps of one token after the prompt, each the likeliest; or
  std::vector<int32_t> follow;     // the tokens of these steps, whatever is likeliest
  int64_t steps() const { return follow.empty() ? greedy : static_cast<int64_t>(follow.size()); }
};

// {"ids": [..], "positions": [..] (default: the last), "greedy": N or "follow": [..]}, one a line, blank lines skipped.
// Errors: kInvalidArgument with the line's number: a key that does not exist, a token outside the vocabulary, more
// positions than a step may have, more tokens than `context_max`.
struct LogitBounds {
  int64_t vocab = 0;
  int64_t context_max = 0;
};
Result<std::vector<LogitRequest>> parse_logit_requests(std::string_view lines, const LogitBounds& bounds);

// {"logits": [[vocab] per position], "greedy": [the likeliest token at each step; the lowest id of equals], "gaps":
// [its lead over the second], "last": [vocab] after the last step}; the last three when there are steps. Numbers read
// back as the same f32. Errors: of the device; kDataCorrupt when a logit is not finite.
Result<std::string> answer_logits(LogitReader& reader, const LogitRequest& request);

}  // namespace cove::app
