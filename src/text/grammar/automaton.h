#pragma once
// Walks a grammar byte by byte. A node is a set of places in the network, each with the rules it will return to; nodes
// and their transitions are made when first met and kept, so that the inside of a JSON string costs one look-up a byte.
// One per sequence, one thread.

#include <array>
#include <cstdint>
#include <memory>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "text/grammar/network.h"

namespace cove::text::grammar {

class Automaton {
 public:
  using Node = int32_t;
  static constexpr Node kDead = -1;

  explicit Automaton(std::shared_ptr<const Grammar> grammar);

  Node start();
  Node advance(Node node, uint8_t byte);
  Node advance(Node node, std::string_view bytes);
  // A complete text of the grammar ends here.
  bool accepting(Node node) const { return nodes_[static_cast<size_t>(node)].accepting; }
  // Something may follow.
  bool open(Node node) const { return !nodes_[static_cast<size_t>(node)].places.empty(); }
  size_t size() const { return nodes_.size(); }
  // Forgets all nodes but this one; returns its new name.
  Node keep_only(Node node);

 private:
  friend Status check_grammar(const Grammar& grammar);
  using StackId = int32_t;  // 0 = empty
  struct Place {
    StateId state = 0;
    StackId stack = 0;
    auto operator<=>(const Place&) const = default;
  };
  struct Frame {
    StackId below = 0;
    StateId return_to = 0;
    int32_t depth = 0;
  };
  struct NodeData {
    std::vector<Place> places;  // those that can read a byte, sorted
    bool accepting = false;
    std::array<Node, 256> next;
  };

  struct Closure {
    std::vector<Place> places;
    bool accepting = false;
    bool too_deep = false;
  };
  Closure close(std::vector<Place> open);
  Node intern(Closure closure);
  StackId push(StackId below, StateId return_to);
  Node compute_next(Node node, uint8_t byte);

  std::shared_ptr<const Grammar> grammar_;
  std::vector<Frame> frames_;
  std::unordered_map<uint64_t, StackId> frame_of_;  // (below, return_to)
  std::vector<NodeData> nodes_;
  std::unordered_multimap<size_t, Node> node_of_;  // hash of the places
};

// Errors: kInvalidArgument when the grammar is too large or a rule calls itself without reading anything first.
Status check_grammar(const Grammar& grammar);

}  // namespace cove::text::grammar
