#pragma once
// Splits template source into tokens by the rules of Jinja 3.1 with trim_blocks and lstrip_blocks on and
// keep_trailing_newline off, as transformers sets them. Called by the parser.

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace cove::text::jinja {

enum class TokenType : uint8_t {
  kText,
  kVariableBegin,
  kVariableEnd,
  kBlockBegin,
  kBlockEnd,
  kName,
  kString,
  kInteger,
  kFloat,
  kOperator,
  kEnd,
};

struct Token {
  TokenType type = TokenType::kEnd;
  // Text, name, decoded string, digits as written without underscores, or the operator.
  std::string text;
  int line = 0;
};

// Errors: kInvalidArgument "line 3: ...".
Result<std::vector<Token>> tokenize(std::string_view source);

}  // namespace cove::text::jinja
