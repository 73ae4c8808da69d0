#pragma once
// The filters ("x|upper") and tests ("x is defined") that templates can name: Jinja's built-in ones, with the tojson of
// transformers. Looked up by the parser, called by the interpreter.

#include <string_view>

#include "base/result.h"
#include "text/chat/jinja/callable.h"

namespace cove::text::jinja {

struct FilterEntry {
  std::string_view name;
  Result<Value> (*run)(Interpreter& interpreter, const Value& subject, const Arguments& args);
};

struct TestEntry {
  std::string_view name;
  Result<bool> (*run)(Interpreter& interpreter, const Value& subject, const Arguments& args);
};

// nullptr when there is none.
const FilterEntry* find_filter(std::string_view name);
const TestEntry* find_test(std::string_view name);

}  // namespace cove::text::jinja
