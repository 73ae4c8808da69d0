#pragma once
// The functions every template has: range, dict, namespace, cycler, joiner, raise_exception, strftime_now; and the
// conversion of the caller's JSON into values.

#include <optional>
#include <string_view>

#include <boost/json/value.hpp>

#include "base/json.h"
#include "base/result.h"
#include "text/chat/jinja/value.h"

namespace cove::text::jinja {

// Undefined when there is no such global.
std::optional<Value> global_function(std::string_view name);

// Ill-formed UTF-8 becomes U+FFFD. Nested deeper than a value may be: Undefined with that message.
Value from_json(const json::value& value, int depth_left);

}  // namespace cove::text::jinja
