#pragma once
// Python's two ways to format: "%s %5.2f" % values and "{} {name:>8}".format(...).

#include <string>
#include <string_view>

#include "base/result.h"
#include "text/chat/jinja/callable.h"

namespace cove::text::jinja {

// `values`: a tuple, a dict for %(name)s, or one value.
Result<std::string> format_percent(Interpreter& interpreter, std::string_view format, const Value& values);
Result<std::string> format_braces(Interpreter& interpreter, std::string_view format, const Arguments& args);

}  // namespace cove::text::jinja
