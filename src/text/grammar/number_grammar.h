#pragma once
// JSON numbers within bounds, as grammars.

#include <cstdint>
#include <optional>

#include "text/grammar/network.h"

namespace cove::text::grammar {

// Bounds are whole numbers; unset = none.
struct NumberBounds {
  enum class Edge : uint8_t { kInclusive, kExclusive };
  std::optional<int64_t> low{};
  std::optional<int64_t> high{};
  Edge low_edge = Edge::kInclusive;
  Edge high_edge = Edge::kInclusive;

  bool none() const { return !low && !high; }
  // No number satisfies both.
  bool empty() const;
};

Fragment any_integer(Network& network);
Fragment any_number(Network& network);
// Whole numbers low..high, without exponent or fraction. The bounds are inclusive here; not empty.
Fragment integer_between(Network& network, std::optional<int64_t> low, std::optional<int64_t> high);
// Numbers with or without a fraction, no exponent. Not empty.
Fragment number_between(Network& network, const NumberBounds& bounds);

}  // namespace cove::text::grammar
