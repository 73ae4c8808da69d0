#include "text/grammar/characters.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace cove::text::grammar {
namespace {

// What a JSON string must escape, and how it is usually written.
constexpr std::pair<char32_t, std::string_view> kShortEscapes[] = {
    {U'"', "\\\""}, {U'\\', "\\\\"}, {U'\b', "\\b"}, {U'\f', "\\f"}, {U'\n', "\\n"}, {U'\r', "\\r"}, {U'\t', "\\t"}};
constexpr char32_t kLastControl = 0x1F;

bool contains(const CharSet& set, char32_t c) {
  return std::ranges::any_of(set, [c](const auto& range) { return range.low <= c && c <= range.high; });
}

std::string escape_of(char32_t c) {
  for (const auto& [escaped, text] : kShortEscapes) {
    if (escaped == c) return std::string(text);
  }
  return fmt::format("\\u{:04x}", static_cast<uint32_t>(c));
}

Fragment hex_digits(Network& network, size_t count) {
  const Fragment out{.begin = network.add_state(), .end = network.add_state()};
  StateId at = out.begin;
  for (size_t i = 0; i < count; ++i) {
    const StateId next = i + 1 == count ? out.end : network.add_state();
    network.add_bytes(at, '0', '9', next);
    network.add_bytes(at, 'a', 'f', next);
    network.add_bytes(at, 'A', 'F', next);
    at = next;
  }
  return out;
}

// One byte of those listed.
Fragment byte_of(Network& network, std::string_view bytes) {
  const Fragment out{.begin = network.add_state(), .end = network.add_state()};
  for (const char c : bytes) network.add_bytes(out.begin, static_cast<uint8_t>(c), static_cast<uint8_t>(c), out.end);
  return out;
}

// \uXXXX of a character below U+10000 that is no surrogate, or a pair of surrogates.
Fragment unicode_escape(Network& network) {
  const Fragment other = network.sequence({byte_of(network, "0123456789abcefABCEF"), hex_digits(network, 3)});
  const Fragment below =
      network.sequence({byte_of(network, "dD"), byte_of(network, "01234567"), hex_digits(network, 2)});
  const Fragment pair = network.sequence({byte_of(network, "dD"), byte_of(network, "89abAB"), hex_digits(network, 2),
                                          network.literal("\\u"), byte_of(network, "dD"), byte_of(network, "cdefCDEF"),
                                          hex_digits(network, 2)});
  return network.sequence({network.literal("\\u"), network.choice({other, below, pair})});
}

}  // namespace

CharSet normalise(CharSet set) {
  std::ranges::sort(set, {}, &Network::CharRange::low);
  CharSet out;
  for (const auto& range : set) {
    if (range.low > range.high) continue;
    if (!out.empty() && range.low <= out.back().high + 1) {
      out.back().high = std::max(out.back().high, range.high);
    } else {
      out.push_back(range);
    }
  }
  return out;
}

CharSet complement(const CharSet& set) {
  CharSet out;
  char32_t next = 0;
  for (const auto& [low, high] : normalise(set)) {
    if (low > next) out.push_back({.low = next, .high = low - 1});
    next = high + 1;
  }
  if (next <= 0x10FFFF) out.push_back({.low = next, .high = 0x10FFFF});
  return out;
}

CharSet intersect(const CharSet& a, const CharSet& b) {
  CharSet out;
  for (const auto& x : a) {
    for (const auto& y : b) {
      const char32_t low = std::max(x.low, y.low);
      const char32_t high = std::min(x.high, y.high);
      if (low <= high) out.push_back({.low = low, .high = high});
    }
  }
  return out;
}

const CharSet& raw_json_characters() {
  static const CharSet kRaw = {
      {.low = 0x20, .high = 0x21}, {.low = 0x23, .high = 0x5B}, {.low = 0x5D, .high = 0x10FFFF}};
  return kRaw;
}

Fragment one_of(Network& network, const CharSet& set, TextForm form) {
  if (form == TextForm::kPlain) return network.characters(set);
  std::vector<Fragment> parts = {network.characters(intersect(set, raw_json_characters()))};
  for (char32_t c = 0; c <= kLastControl; ++c) {
    if (contains(set, c)) parts.push_back(network.literal(escape_of(c)));
  }
  for (const char32_t c : {U'"', U'\\'}) {
    if (contains(set, c)) parts.push_back(network.literal(escape_of(c)));
  }
  return network.choice(parts);
}

Fragment any_json_character(Network& network) {
  const Fragment simple = network.sequence({network.literal("\\"), byte_of(network, "\"\\/bfnrt")});
  return network.choice({network.characters(raw_json_characters()), simple, unicode_escape(network)});
}

}  // namespace cove::text::grammar
