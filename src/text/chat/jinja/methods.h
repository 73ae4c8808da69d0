#pragma once
// The methods of Python's str, list, tuple, dict, int and float that templates call. Those that change a list or dict
// are refused, as in transformers' ImmutableSandboxedEnvironment.

#include <string_view>

#include "base/result.h"
#include "text/chat/jinja/callable.h"

namespace cove::text::jinja {

using Method = Result<Value> (*)(Interpreter& interpreter, const Value& self, const Arguments& args);

// nullptr when values of this kind have no such method.
Method find_method(const Value& self, std::string_view name);
// "message.get" without a call: a value that can be called later.
Value bind_method(const Value& self, std::string_view name, Method method);

}  // namespace cove::text::jinja
