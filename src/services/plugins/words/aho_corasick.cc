// Aho and Corasick 1975: a trie of the words with, at every node, the node of the longest proper suffix that is in the
// trie too. Linear in the text and the matches whatever the words are.
#include <algorithm>
#include <array>

#include "services/plugins/words/word_matcher.h"

namespace cove::plugins {
namespace {

constexpr uint32_t kNone = 0xFFFFFFFF;

// Children are a range of edges_, sorted by byte; the root's are a table.
struct Node {
  uint32_t edges = 0;
  uint32_t suffix = 0;    // the longest proper suffix in the trie
  uint32_t word = kNone;  // the word that ends here
  uint32_t next = kNone;  // the nearest suffix at which a word ends
  uint16_t edge_count = 0;
};
struct Edge {
  unsigned char byte = 0;
  uint32_t node = 0;
};

class AhoCorasick final : public WordMatcher {
 public:
  explicit AhoCorasick(std::span<const std::string> words) {
    build_trie(words);
    link();
  }
  std::unique_ptr<MatchStream> open() const override;
  std::string_view name() const override { return "aho-corasick"; }

  uint32_t step(uint32_t at, unsigned char byte) const {
    for (;;) {
      if (at == 0) return root_[byte];
      const uint32_t child = child_of(at, byte);
      if (child != kNone) return child;
      at = nodes_[at].suffix;
    }
  }
  const Node& node(uint32_t at) const { return nodes_[at]; }

 private:
  uint32_t child_of(uint32_t at, unsigned char byte) const {
    const Node& node = nodes_[at];
    const auto edges = std::span(edges_).subspan(node.edges, node.edge_count);
    const auto found = std::ranges::lower_bound(edges, byte, {}, &Edge::byte);
    return found != edges.end() && found->byte == byte ? found->node : kNone;
  }

  // Level by level: words of a node are a range of the sorted words, so that a node's children lie side by side.
  void build_trie(std::span<const std::string> words) {
    std::vector<uint32_t> order(words.size());
    for (uint32_t i = 0; i < order.size(); ++i) order[i] = i;
    std::ranges::sort(order, {}, [&](uint32_t i) { return std::string_view(words[i]); });
    struct Range {
      size_t begin, end, depth;
    };
    std::vector<Range> ranges = {{0, order.size(), 0}};
    nodes_.emplace_back();
    for (uint32_t at = 0; at < nodes_.size(); ++at) {
      auto [begin, end, depth] = ranges[at];
      if (begin < end && words[order[begin]].size() == depth) nodes_[at].word = order[begin++];
      nodes_[at].edges = static_cast<uint32_t>(edges_.size());
      while (begin < end) {
        const char byte = words[order[begin]][depth];
        size_t stop = begin;
        while (stop < end && words[order[stop]][depth] == byte) ++stop;
        edges_.push_back({static_cast<unsigned char>(byte), static_cast<uint32_t>(nodes_.size())});
        nodes_.emplace_back();
        ranges.push_back({begin, stop, depth + 1});
        ++nodes_[at].edge_count;
        begin = stop;
      }
    }
  }

  // Nodes are in order of depth, so a node's suffix is linked before the node.
  void link() {
    root_.fill(0);
    for (const Edge& edge : std::span(edges_).subspan(0, nodes_[0].edge_count)) root_[edge.byte] = edge.node;
    for (uint32_t at = 0; at < nodes_.size(); ++at) {
      for (uint32_t i = 0; i < nodes_[at].edge_count; ++i) {
        const Edge& edge = edges_[nodes_[at].edges + i];
        Node& child = nodes_[edge.node];
        child.suffix = at == 0 ? 0 : step(nodes_[at].suffix, edge.byte);
        const Node& suffix = nodes_[child.suffix];
        child.next = suffix.word != kNone ? child.suffix : suffix.next;
      }
    }
  }

  std::vector<Node> nodes_;
  std::vector<Edge> edges_;
  std::array<uint32_t, 256> root_{};
};

class AhoCorasickStream final : public MatchStream {
 public:
  explicit AhoCorasickStream(const AhoCorasick& automaton) : automaton_(&automaton) {}

  void scan(std::string_view bytes, std::vector<WordMatch>& out) override {
    for (const char byte : bytes) {
      at_ = automaton_->step(at_, static_cast<unsigned char>(byte));
      ++position_;
      const Node& node = automaton_->node(at_);
      if (node.word != kNone) out.push_back({node.word, position_});
      for (uint32_t next = node.next; next != kNone; next = automaton_->node(next).next)
        out.push_back({automaton_->node(next).word, position_});
    }
  }

 private:
  const AhoCorasick* automaton_;
  uint32_t at_ = 0;
  uint64_t position_ = 0;
};

std::unique_ptr<MatchStream> AhoCorasick::open() const { return std::make_unique<AhoCorasickStream>(*this); }

}  // namespace

std::unique_ptr<WordMatcher> make_aho_corasick(std::span<const std::string> words) {
  return std::make_unique<AhoCorasick>(words);
}

Result<std::unique_ptr<WordMatcher>> make_matcher(std::span<const std::string> words) {
  TRY_ASSIGN(auto matcher, make_hyperscan(words));
  if (matcher == nullptr) matcher = make_aho_corasick(words);
  return matcher;
}

}  // namespace cove::plugins
