#pragma once
// Template source to a Program. Called once per template by ChatTemplate::compile.

#include <string_view>

#include "base/result.h"
#include "text/chat/jinja/ast.h"

namespace cove::text::jinja {

// Errors: kInvalidArgument "line 12: expected ...". depth_max bounds the nesting of expressions and of statements.
Result<Program> parse(std::string_view source, int depth_max);

}  // namespace cove::text::jinja
