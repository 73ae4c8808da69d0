#pragma once
// Python's operators on values. Called by the interpreter and by filters such as sum.

#include <optional>

#include "base/result.h"
#include "text/chat/jinja/ast.h"
#include "text/chat/jinja/value.h"

namespace cove::text::jinja {

class Interpreter;

// + - * / // % **. Integers have 64 bits; a result that does not fit is an error.
Result<Value> arithmetic(Interpreter& interpreter, Op op, const Value& a, const Value& b);
Result<Value> negate(const Value& value);
// == != < <= > >= in, not in.
Result<bool> holds(Interpreter& interpreter, Op op, const Value& a, const Value& b);
Result<bool> contains(Interpreter& interpreter, const Value& container, const Value& item);

struct SliceBounds {
  std::optional<int64_t> start, stop, step;
};
Result<Value> slice(Interpreter& interpreter, const Value& value, const SliceBounds& bounds);

// "a" + "b" where either may be Markup, which escapes the other.
Value concat_text(const Value& a, const Value& b);
std::string escape_html(std::string_view text);

}  // namespace cove::text::jinja
