#pragma once
// The filters' implementations, by theme; filters.cc puts them into one table.

#include <span>

#include "text/chat/jinja/filters.h"

namespace cove::text::jinja {

std::span<const FilterEntry> text_filters();
std::span<const FilterEntry> sequence_filters();
std::span<const FilterEntry> aggregate_filters();
std::span<const FilterEntry> number_filters();

// A dotted attribute as filters take it: "function.name", "0.id" or an index. Missing parts give Undefined, or
// `fallback`.
Result<Value> get_by_path(Interpreter& interpreter, const Value& value, const Value& path, const Value* fallback);

// What map(), select() and friends iterate over: nothing when the value is falsy.
Result<std::vector<Value>> iterate_if_truthy(Interpreter& interpreter, const Value& value);

}  // namespace cove::text::jinja
