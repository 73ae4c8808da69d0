#pragma once
// The body of POST /v1/completions, validated.

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "server/dto/constraint_fields.h"
#include "server/dto/generation_fields.h"

namespace cove::server {

// One prompt: text, or token ids.
using Prompt = std::variant<std::string, std::vector<int32_t>>;

struct CompletionRequest {
  GenerationFields fields;
  std::vector<Prompt> prompts;  // at least one
  ConstraintFields constraint;
  int32_t logprobs = -1;  // -1 = none, else the number of alternatives
};

inline constexpr size_t kPromptsMax = 64;

ApiResult<CompletionRequest> parse_completion_request(std::string_view body);

}  // namespace cove::server
