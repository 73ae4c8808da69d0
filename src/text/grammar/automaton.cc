#include "text/grammar/automaton.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>

namespace cove::text::grammar {
namespace {

constexpr int32_t kDepthMax = 256;     // rules inside rules
constexpr size_t kPlacesMax = 20'000;  // of one node
constexpr Automaton::Node kUnknown = -2;

size_t hash_of(const auto& places, bool accepting) {
  uint64_t hash = accepting ? 0x9E3779B97F4A7C15ULL : 0;
  for (const auto& place : places) {
    const uint64_t word = (static_cast<uint64_t>(place.state) << 32) | static_cast<uint32_t>(place.stack);
    hash = (hash ^ word) * 0xBF58476D1CE4E5B9ULL;
    hash ^= hash >> 29;
  }
  return hash;
}

}  // namespace

Automaton::Automaton(std::shared_ptr<const Grammar> grammar) : grammar_(std::move(grammar)), frames_(1) {}

Automaton::StackId Automaton::push(StackId below, StateId return_to) {
  const uint64_t key = (static_cast<uint64_t>(below) << 32) | static_cast<uint32_t>(return_to);
  const auto [found, is_new] = frame_of_.try_emplace(key, static_cast<StackId>(frames_.size()));
  if (is_new) {
    const int32_t depth = frames_[static_cast<size_t>(below)].depth + 1;
    frames_.push_back({.below = below, .return_to = return_to, .depth = depth});
  }
  return found->second;
}

// Everything that can be reached without reading.
Automaton::Closure Automaton::close(std::vector<Place> open) {
  Closure out;
  std::set<Place> seen(open.begin(), open.end());
  const auto visit = [&](Place place) {
    if (seen.insert(place).second) open.push_back(place);
  };
  while (!open.empty() && seen.size() < kPlacesMax) {
    const Place place = open.back();
    open.pop_back();
    const State& state = grammar_->network.state(place.state);
    if (!state.bytes.empty()) out.places.push_back(place);
    for (const StateId to : state.free) visit({.state = to, .stack = place.stack});
    for (const CallArc& arc : state.calls) {
      if (frames_[static_cast<size_t>(place.stack)].depth >= kDepthMax) {
        out.too_deep = true;
        continue;
      }
      visit({.state = grammar_->network.body(arc.rule).begin, .stack = push(place.stack, arc.to)});
    }
    if (state.ends < 0) continue;
    if (place.stack == 0) {
      out.accepting = true;
    } else {
      const Frame frame = frames_[static_cast<size_t>(place.stack)];
      visit({.state = frame.return_to, .stack = frame.below});
    }
  }
  out.too_deep |= !open.empty();
  std::ranges::sort(out.places);
  return out;
}

Automaton::Node Automaton::intern(Closure closure) {
  if (closure.places.empty() && !closure.accepting) return kDead;
  const size_t hash = hash_of(closure.places, closure.accepting);
  const auto [begin, end] = node_of_.equal_range(hash);
  for (auto it = begin; it != end; ++it) {
    const NodeData& data = nodes_[static_cast<size_t>(it->second)];
    if (data.accepting == closure.accepting && data.places == closure.places) return it->second;
  }
  const auto node = static_cast<Node>(nodes_.size());
  nodes_.push_back({.places = std::move(closure.places), .accepting = closure.accepting, .next = {}});
  nodes_.back().next.fill(kUnknown);
  node_of_.emplace(hash, node);
  return node;
}

Automaton::Node Automaton::start() {
  return intern(close({{.state = grammar_->network.body(grammar_->start).begin, .stack = 0}}));
}

Automaton::Node Automaton::compute_next(Node node, uint8_t byte) {
  std::vector<Place> after;
  for (const Place& place : nodes_[static_cast<size_t>(node)].places) {
    for (const ByteArc& arc : grammar_->network.state(place.state).bytes) {
      if (arc.low <= byte && byte <= arc.high) after.push_back({.state = arc.to, .stack = place.stack});
    }
  }
  return intern(close(std::move(after)));
}

Automaton::Node Automaton::advance(Node node, uint8_t byte) {
  if (node == kDead) return kDead;
  const Node known = nodes_[static_cast<size_t>(node)].next[byte];
  if (known != kUnknown) return known;
  const Node next = compute_next(node, byte);
  nodes_[static_cast<size_t>(node)].next[byte] = next;
  return next;
}

Automaton::Node Automaton::advance(Node node, std::string_view bytes) {
  for (const char c : bytes) node = advance(node, static_cast<uint8_t>(c));
  return node;
}

Automaton::Node Automaton::keep_only(Node node) {
  NodeData kept = std::move(nodes_[static_cast<size_t>(node)]);
  nodes_.clear();
  node_of_.clear();
  return intern({.places = std::move(kept.places), .accepting = kept.accepting});
}

Status check_grammar(const Grammar& grammar) {
  if (grammar.network.size() >= kStatesMax)
    return invalid_argument(fmt::format("it needs more than {} states", kStatesMax));
  // A rule that reaches itself without reading would push returns for ever.
  const std::shared_ptr<const Grammar> borrowed(std::shared_ptr<const Grammar>(), &grammar);
  for (RuleId rule = 0; rule < grammar.network.rule_count(); ++rule) {
    Automaton automaton(borrowed);
    if (automaton.close({{.state = grammar.network.body(rule).begin, .stack = 0}}).too_deep)
      return invalid_argument("it refers to itself without anything in between");
  }
  return {};
}

}  // namespace cove::text::grammar
