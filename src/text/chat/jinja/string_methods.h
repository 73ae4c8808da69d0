#pragma once
// The methods of str; part of methods.cc's tables.

#include <string_view>

#include "text/chat/jinja/methods.h"

namespace cove::text::jinja {

Method find_string_method(std::string_view name);

// str.replace, shared with the filter. count below 0: all.
std::string replace_all(std::string_view text, std::string_view from, std::string_view to, int64_t count);

}  // namespace cove::text::jinja
