#pragma once
// A grammar as a recursive transition network over bytes: states joined by byte ranges, by nothing, or by calls of
// rules. Built from a JSON Schema (json_schema.h) or a regular expression (regex.h); read by Automaton.

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string_view>
#include <vector>

namespace cove::text::grammar {

using StateId = int32_t;
using RuleId = int32_t;

struct ByteArc {
  uint8_t low = 0;
  uint8_t high = 0;
  StateId to = 0;
};
struct CallArc {
  RuleId rule = 0;
  StateId to = 0;  // where it goes on after the rule
};
struct State {
  std::vector<ByteArc> bytes;
  std::vector<CallArc> calls;
  std::vector<StateId> free;  // taken without reading anything
  RuleId ends = -1;           // the rule that is complete here
};

// A piece of a rule with one entrance and one exit.
struct Fragment {
  StateId begin = 0;
  StateId end = 0;
};

class Network {
 public:
  StateId add_state();
  void add_bytes(StateId from, uint8_t low, uint8_t high, StateId to);
  void add_free(StateId from, StateId to) { states_[static_cast<size_t>(from)].free.push_back(to); }
  // A rule's body is connected between its begin and its end afterwards, so that rules may call each other.
  RuleId add_rule();
  Fragment body(RuleId rule) const { return rules_[static_cast<size_t>(rule)]; }
  void define(RuleId rule, Fragment content);

  // Fragments may be used once; what is needed several times becomes a rule that is called.
  Fragment nothing();
  Fragment literal(std::string_view bytes);
  Fragment call(RuleId rule);
  Fragment sequence(std::initializer_list<Fragment> parts);
  Fragment sequence(std::span<const Fragment> parts);
  Fragment choice(std::span<const Fragment> parts);
  Fragment choice(std::initializer_list<Fragment> parts);
  Fragment optional(Fragment part);
  Fragment star(Fragment part);
  // `rule`, at least `low` and at most `high` times; high < 0 = no limit.
  Fragment repeat(RuleId rule, int64_t low, int64_t high);
  // One Unicode character of the given ranges, as UTF-8.
  struct CharRange {
    char32_t low = 0;
    char32_t high = 0;
  };
  Fragment characters(std::span<const CharRange> ranges);

  RuleId rule_count() const { return static_cast<RuleId>(rules_.size()); }
  const State& state(StateId id) const { return states_[static_cast<size_t>(id)]; }
  size_t size() const { return states_.size(); }

 private:
  void add_character_range(char32_t low, char32_t high, Fragment fragment);

  std::vector<State> states_;
  std::vector<Fragment> rules_;
};

// More states than this are refused when a grammar is compiled: hostile schemas shall not take the memory.
inline constexpr size_t kStatesMax = 200'000;

struct Grammar {
  Network network;
  RuleId start = 0;
};

}  // namespace cove::text::grammar
