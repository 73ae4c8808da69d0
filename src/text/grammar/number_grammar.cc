#include "text/grammar/number_grammar.h"

#include <algorithm>
#include <string>
#include <vector>

namespace cove::text::grammar {
namespace {

using Edge = NumberBounds::Edge;

Fragment digit(Network& network, char low, char high) {
  const Fragment out{.begin = network.add_state(), .end = network.add_state()};
  network.add_bytes(out.begin, static_cast<uint8_t>(low), static_cast<uint8_t>(high), out.end);
  return out;
}

Fragment digits(Network& network, int64_t low, int64_t high) {
  const RuleId one = network.add_rule();
  network.define(one, digit(network, '0', '9'));
  return network.repeat(one, low, high);
}

// Texts of equally many digits between `low` and `high`.
Fragment same_length(Network& network, const std::string& low, const std::string& high) {
  if (low.empty()) return network.nothing();
  const std::string low_rest = low.substr(1);
  const std::string high_rest = high.substr(1);
  if (low[0] == high[0])
    return network.sequence({digit(network, low[0], low[0]), same_length(network, low_rest, high_rest)});
  const std::string nines(low_rest.size(), '9');
  const std::string zeros(low_rest.size(), '0');
  const auto rest = static_cast<int64_t>(low_rest.size());
  std::vector<Fragment> parts = {
      network.sequence({digit(network, low[0], low[0]), same_length(network, low_rest, nines)}),
      network.sequence({digit(network, high[0], high[0]), same_length(network, zeros, high_rest)})};
  if (low[0] + 1 < high[0]) {
    parts.push_back(network.sequence(
        {digit(network, static_cast<char>(low[0] + 1), static_cast<char>(high[0] - 1)), digits(network, rest, rest)}));
  }
  return network.choice(parts);
}

constexpr uint64_t kNoEnd = ~uint64_t{0};

// low..high as decimal texts without leading zeros.
Fragment natural_between(Network& network, uint64_t low, uint64_t high) {
  std::vector<Fragment> parts;
  std::string from = std::to_string(low);
  const std::string to = high == kNoEnd ? std::string(from.size(), '9') : std::to_string(high);
  while (from.size() < to.size()) {
    parts.push_back(same_length(network, from, std::string(from.size(), '9')));
    from = "1" + std::string(from.size(), '0');
  }
  parts.push_back(same_length(network, from, to));
  if (high == kNoEnd) {
    const auto longer = static_cast<int64_t>(to.size());
    parts.push_back(network.sequence({digit(network, '1', '9'), digits(network, longer, -1)}));
  }
  return network.choice(parts);
}

uint64_t magnitude(int64_t value) {
  return value < 0 ? ~static_cast<uint64_t>(value) + 1 : static_cast<uint64_t>(value);
}

// A part of the numbers by their distance from zero: which whole parts, and what may follow the point.
struct Magnitudes {
  uint64_t low = 0;
  uint64_t high = kNoEnd;
  Edge low_edge = Edge::kInclusive;
  Edge high_edge = Edge::kInclusive;
};

Fragment fraction(Network& network) { return network.sequence({network.literal("."), digits(network, 1, -1)}); }
Fragment zero_fraction(Network& network) {
  const RuleId zero = network.add_rule();
  network.define(zero, digit(network, '0', '0'));
  return network.sequence({network.literal("."), network.repeat(zero, 1, -1)});
}
Fragment nonzero_fraction(Network& network) {
  const RuleId zero = network.add_rule();
  network.define(zero, digit(network, '0', '0'));
  return network.sequence(
      {network.literal("."), network.repeat(zero, 0, -1), digit(network, '1', '9'), digits(network, 0, -1)});
}

Fragment magnitude_between(Network& network, const Magnitudes& m) {
  std::vector<Fragment> parts;
  const auto whole = [&](uint64_t value) { return network.literal(std::to_string(value)); };
  if (m.high == m.low) return network.sequence({whole(m.low), network.optional(zero_fraction(network))});
  parts.push_back(m.low_edge == Edge::kInclusive ? network.sequence({whole(m.low), network.optional(fraction(network))})
                                                 : network.sequence({whole(m.low), nonzero_fraction(network)}));
  const uint64_t next = m.low + 1;
  if (m.high == kNoEnd || next < m.high) {
    const uint64_t last = m.high == kNoEnd ? kNoEnd : m.high - 1;
    parts.push_back(network.sequence({natural_between(network, next, last), network.optional(fraction(network))}));
  }
  if (m.high != kNoEnd && m.high_edge == Edge::kInclusive)
    parts.push_back(network.sequence({whole(m.high), network.optional(zero_fraction(network))}));
  return network.choice(parts);
}

}  // namespace

bool NumberBounds::empty() const {
  if (!low || !high) return false;
  if (*low != *high) return *low > *high;
  return low_edge == Edge::kExclusive || high_edge == Edge::kExclusive;
}

Fragment any_integer(Network& network) {
  return network.sequence({network.optional(network.literal("-")), natural_between(network, 0, kNoEnd)});
}

Fragment any_number(Network& network) {
  const Fragment sign = network.choice({network.literal("+"), network.literal("-")});
  const Fragment e = network.choice({network.literal("e"), network.literal("E")});
  const Fragment exponent = network.sequence({e, network.optional(sign), digits(network, 1, -1)});
  return network.sequence({any_integer(network), network.optional(fraction(network)), network.optional(exponent)});
}

Fragment integer_between(Network& network, std::optional<int64_t> low, std::optional<int64_t> high) {
  std::vector<Fragment> parts;
  if (!high || *high >= 0) {
    const uint64_t from = low && *low > 0 ? magnitude(*low) : 0;
    parts.push_back(natural_between(network, from, high ? magnitude(*high) : kNoEnd));
  }
  if (!low || *low < 0) {
    const uint64_t from = high && *high < 0 ? magnitude(*high) : 1;
    const auto to = low ? magnitude(*low) : kNoEnd;
    parts.push_back(network.sequence({network.literal("-"), natural_between(network, from, to)}));
  }
  return network.choice(parts);
}

Fragment number_between(Network& network, const NumberBounds& bounds) {
  std::vector<Fragment> parts;
  const bool reaches_zero =
      !bounds.high || *bounds.high > 0 || (*bounds.high == 0 && bounds.high_edge == Edge::kInclusive);
  if (reaches_zero) {
    const bool from_low = bounds.low && *bounds.low >= 0;
    parts.push_back(magnitude_between(network, {.low = from_low ? magnitude(*bounds.low) : 0,
                                                .high = bounds.high ? magnitude(*bounds.high) : kNoEnd,
                                                .low_edge = from_low ? bounds.low_edge : Edge::kInclusive,
                                                .high_edge = bounds.high_edge}));
  }
  if (!bounds.low || *bounds.low < 0) {
    const bool from_high = bounds.high && *bounds.high <= 0;
    const Fragment rest = magnitude_between(network, {.low = from_high ? magnitude(*bounds.high) : 0,
                                                      .high = bounds.low ? magnitude(*bounds.low) : kNoEnd,
                                                      .low_edge = from_high ? bounds.high_edge : Edge::kInclusive,
                                                      .high_edge = bounds.low_edge});
    parts.push_back(network.sequence({network.literal("-"), rest}));
  }
  return network.choice(parts);
}

}  // namespace cove::text::grammar
