#include "text/grammar/network.h"

#include <algorithm>
#include <array>
#include <string>

#include "base/utf8.h"

namespace cove::text::grammar {

StateId Network::add_state() {
  states_.emplace_back();
  return static_cast<StateId>(states_.size() - 1);
}

void Network::add_bytes(StateId from, uint8_t low, uint8_t high, StateId to) {
  states_[static_cast<size_t>(from)].bytes.push_back({.low = low, .high = high, .to = to});
}

RuleId Network::add_rule() {
  const Fragment body{.begin = add_state(), .end = add_state()};
  const auto rule = static_cast<RuleId>(rules_.size());
  states_[static_cast<size_t>(body.end)].ends = rule;
  rules_.push_back(body);
  return rule;
}

void Network::define(RuleId rule, Fragment content) {
  add_free(body(rule).begin, content.begin);
  add_free(content.end, body(rule).end);
}

Fragment Network::nothing() {
  const StateId only = add_state();
  return {.begin = only, .end = only};
}

Fragment Network::literal(std::string_view bytes) {
  const StateId begin = add_state();
  StateId at = begin;
  for (const char c : bytes) {
    const StateId next = add_state();
    add_bytes(at, static_cast<uint8_t>(c), static_cast<uint8_t>(c), next);
    at = next;
  }
  return {.begin = begin, .end = at};
}

Fragment Network::call(RuleId rule) {
  const Fragment out{.begin = add_state(), .end = add_state()};
  states_[static_cast<size_t>(out.begin)].calls.push_back({.rule = rule, .to = out.end});
  return out;
}

Fragment Network::sequence(std::span<const Fragment> parts) {
  if (parts.empty()) return nothing();
  for (size_t i = 1; i < parts.size(); ++i) add_free(parts[i - 1].end, parts[i].begin);
  return {.begin = parts.front().begin, .end = parts.back().end};
}
Fragment Network::sequence(std::initializer_list<Fragment> parts) {
  return sequence(std::span<const Fragment>(parts.begin(), parts.size()));
}

Fragment Network::choice(std::span<const Fragment> parts) {
  const Fragment out{.begin = add_state(), .end = add_state()};
  for (const Fragment& part : parts) {
    add_free(out.begin, part.begin);
    add_free(part.end, out.end);
  }
  return out;
}
Fragment Network::choice(std::initializer_list<Fragment> parts) {
  return choice(std::span<const Fragment>(parts.begin(), parts.size()));
}

Fragment Network::optional(Fragment part) {
  const Fragment out = choice({part});
  add_free(out.begin, out.end);
  return out;
}

Fragment Network::star(Fragment part) {
  const Fragment out{.begin = add_state(), .end = add_state()};
  add_free(out.begin, part.begin);
  add_free(part.end, out.begin);
  add_free(out.begin, out.end);
  return out;
}

Fragment Network::repeat(RuleId rule, int64_t low, int64_t high) {
  std::vector<Fragment> parts;
  for (int64_t i = 0; i < low && size() < kStatesMax; ++i) parts.push_back(call(rule));
  if (high < 0) {
    parts.push_back(star(call(rule)));
    return sequence(parts);
  }
  const StateId end = add_state();
  for (int64_t i = low; i < high && size() < kStatesMax; ++i) {
    const Fragment one = call(rule);
    add_free(one.begin, end);
    parts.push_back(one);
  }
  Fragment all = sequence(parts);
  add_free(all.end, end);
  return {.begin = all.begin, .end = end};
}

namespace {

// The last code point that has as many UTF-8 bytes as its beginning of the table.
constexpr std::array<char32_t, 4> kLastOfLength = {0x7F, 0x7FF, 0xFFFF, 0x10FFFF};

std::string encode(char32_t c) {
  std::string text;
  append_utf8(text, c);
  return text;
}

uint8_t byte_at(const std::string& text, size_t at) { return static_cast<uint8_t>(text[at]); }

// Adds the byte sequences between `low` and `high` (equally long, `at` bytes are done) from `from` to `to`.
void add_sequences(Network& network, const std::string& low, const std::string& high, size_t at, StateId from,
                   StateId to) {
  const bool last = at + 1 == low.size();
  if (last) return network.add_bytes(from, byte_at(low, at), byte_at(high, at), to);
  if (byte_at(low, at) == byte_at(high, at)) {
    const StateId next = network.add_state();
    network.add_bytes(from, byte_at(low, at), byte_at(low, at), next);
    return add_sequences(network, low, high, at + 1, next, to);
  }
  std::string low_end = low;
  std::string high_begin = high;
  for (size_t i = at + 1; i < low.size(); ++i) {
    low_end[i] = '\xBF';
    high_begin[i] = '\x80';
  }
  const StateId first = network.add_state();
  network.add_bytes(from, byte_at(low, at), byte_at(low, at), first);
  add_sequences(network, low, low_end, at + 1, first, to);
  const StateId final = network.add_state();
  network.add_bytes(from, byte_at(high, at), byte_at(high, at), final);
  add_sequences(network, high_begin, high, at + 1, final, to);
  if (byte_at(low, at) + 1 > byte_at(high, at) - 1) return;
  StateId middle = network.add_state();
  network.add_bytes(from, static_cast<uint8_t>(byte_at(low, at) + 1), static_cast<uint8_t>(byte_at(high, at) - 1),
                    middle);
  for (size_t i = at + 1; i < low.size(); ++i) {
    const StateId next = i + 1 == low.size() ? to : network.add_state();
    network.add_bytes(middle, 0x80, 0xBF, next);
    middle = next;
  }
}

}  // namespace

void Network::add_character_range(char32_t low, char32_t high, Fragment fragment) {
  for (const char32_t last : kLastOfLength) {
    if (low > last) continue;
    const char32_t end = std::min(high, last);
    if (low <= end) add_sequences(*this, encode(low), encode(end), 0, fragment.begin, fragment.end);
    low = end + 1;
    if (low > high) return;
  }
}

Fragment Network::characters(std::span<const CharRange> ranges) {
  constexpr char32_t kLastBefore = 0xD7FF;
  constexpr char32_t kFirstAfter = 0xE000;
  const Fragment out{.begin = add_state(), .end = add_state()};
  for (const auto& [low, high] : ranges) {
    if (low <= kLastBefore) add_character_range(low, std::min(high, kLastBefore), out);
    if (high >= kFirstAfter) add_character_range(std::max(low, kFirstAfter), high, out);
  }
  return out;
}

}  // namespace cove::text::grammar
