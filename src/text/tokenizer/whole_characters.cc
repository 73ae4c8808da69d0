#include "text/tokenizer/whole_characters.h"

#include <algorithm>
#include <optional>
#include <string>
#include <unordered_map>

#include "base/utf8.h"

namespace cove::text {
namespace {

constexpr size_t kCharacterBytesMax = 3;

bool is_continuation(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) == 0x80; }

struct Merged {
  int32_t id = -1;  // -1: more than one token is left
  uint32_t rank_max = 0;
};

Merged merge_alone(std::string_view bytes, const MergeTable& merges, const std::array<int32_t, 256>& byte_ids) {
  int32_t parts[kCharacterBytesMax];
  size_t count = 0;
  for (const char byte : bytes) {
    parts[count] = byte_ids[static_cast<unsigned char>(byte)];
    if (parts[count++] < 0) return {};
  }
  Merged merged;
  for (; count > 1; --count) {
    Merge best;
    size_t best_at = 0;
    for (size_t i = 0; i + 1 < count; ++i) {
      const Merge merge = merges.find(parts[i], parts[i + 1]);
      if (merge.rank >= best.rank) continue;
      best = merge;
      best_at = i;
    }
    if (best.rank == Merge::kNone) return {};
    merged.rank_max = std::max(merged.rank_max, best.rank);
    parts[best_at] = best.id;
    std::copy(parts + best_at + 2, parts + count, parts + best_at + 1);
  }
  merged.id = parts[0];
  return merged;
}

}  // namespace

// Merges that cross the edge of a character, by their token on the one side and the class of the nearest byte on the
// other.
class WholeCharacters::Finder {
 public:
  Finder(const Vocabulary& vocabulary, const MergeTable& merges) : vocabulary_(vocabulary) {
    merges.for_each([&](int32_t left, int32_t right, Merge merge) {
      const std::string_view before = vocabulary.bytes(left);
      const std::string_view after = vocabulary.bytes(right);
      if (before.empty() || after.empty() || is_continuation(after[0])) return;  // inside a character
      if (after.size() <= kCharacterBytesMax) with_before_[right].push_back({merge.rank, bit_before(before.back())});
      if (before.size() <= kCharacterBytesMax) with_after_[left].push_back({merge.rank, bit_after(after[0])});
    });
  }

  Entry entry_for(std::string_view bytes, const Merged& merged) const {
    Entry entry;
    entry.id = merged.id;
    entry.not_after = classes(with_before_, merged.id, merged.rank_max);
    entry.not_before = classes(with_after_, merged.id, merged.rank_max);
    for (size_t cut = 1; cut < bytes.size(); ++cut) {
      entry.not_after |= classes(with_before_, vocabulary_.find(bytes.substr(0, cut)), merged.rank_max);
      entry.not_before |= classes(with_after_, vocabulary_.find(bytes.substr(cut)), merged.rank_max);
    }
    return entry;
  }

 private:
  struct Edge {
    uint32_t rank;
    uint32_t bit;
  };
  using Edges = std::unordered_map<int32_t, std::vector<Edge>>;

  static uint32_t classes(const Edges& edges, std::optional<int32_t> token, uint32_t rank_max) {
    const auto found = token ? edges.find(*token) : edges.end();
    uint32_t bits = 0;
    if (found == edges.end()) return bits;
    for (const Edge& edge : found->second) {
      if (edge.rank <= rank_max) bits |= edge.bit;
    }
    return bits;
  }

  const Vocabulary& vocabulary_;
  Edges with_before_;  // token on the right
  Edges with_after_;   // token on the left
};

WholeCharacters::WholeCharacters(const Vocabulary& vocabulary, const MergeTable& merges,
                                 const std::array<int32_t, 256>& byte_ids)
    : WholeCharacters() {
  const Finder finder(vocabulary, merges);
  std::string bytes;
  for (uint32_t c = 0x80; c < kCodePointEnd && entries_.size() < kCodePointEnd; ++c) {
    bytes.clear();
    append_utf8(bytes, c);
    const Merged merged = merge_alone(bytes, merges, byte_ids);
    if (merged.id < 0) continue;
    index_of_[c] = static_cast<uint16_t>(entries_.size());
    entries_.push_back(finder.entry_for(bytes, merged));
  }
}

}  // namespace cove::text
