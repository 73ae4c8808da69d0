#pragma once
// Judges generated answers of held-out samples. Used by `cove-train score`; what counts as right is Check in
// tasks/sample.h.

#include <string>
#include <string_view>

#include "tasks/sample.h"

namespace cove::trainer {

struct Verdict {
  bool closed = false;  // </think> was written
  bool correct = false;
};

// `generated` is the decoded continuation of the prompt (inside <think> at its start), special tokens written out, no
// end token.
Verdict judge(std::string_view generated, const Check& check);

}  // namespace cove::trainer
