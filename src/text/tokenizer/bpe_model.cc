#include "text/tokenizer/bpe_model.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstring>
#include <memory>
#include <queue>

#include <fmt/format.h>

#include "base/check.h"

namespace cove::text {
namespace {

// Up to here a scan for the lowest rank is faster than a heap.
constexpr size_t kShortWordMax = 256;

// What each thread remembers of the words it met: most of a text is words seen before. One cache line a word, one place
// for each hash; a newer word takes the place of an older one.
struct CachedWord {
  static constexpr size_t kBytesMax = 27;
  static constexpr size_t kIdsMax = 7;
  struct Key {
    uint64_t parts[4];  // 27 bytes of the word, zero-filled; its length; the owner in the last four bytes
    bool operator==(const Key& other) const {
      return ((parts[0] ^ other.parts[0]) | (parts[1] ^ other.parts[1]) | (parts[2] ^ other.parts[2]) |
              (parts[3] ^ other.parts[3])) == 0;
    }
  };
  Key key;
  uint32_t ids_count;
  int32_t ids[kIdsMax];
};
static_assert(sizeof(CachedWord) == 64);

class WordCache {
 public:
  static CachedWord::Key make_key(std::string_view word, uint32_t owner) {
    char buffer[32] = {};
    std::memcpy(buffer, word.data(), word.size());
    buffer[27] = static_cast<char>(word.size());
    std::memcpy(buffer + 28, &owner, sizeof owner);
    return std::bit_cast<CachedWord::Key>(buffer);
  }
  CachedWord& place(const CachedWord::Key& key) {
    if (words_ == nullptr) words_ = std::make_unique<CachedWord[]>(kWords);
    uint64_t hash = key.parts[0] * 0x9E3779B97F4A7C15u;
    hash = (std::rotl(hash, 31) ^ key.parts[1]) * 0xBF58476D1CE4E5B9u;
    hash = (std::rotl(hash, 31) ^ key.parts[2]) * 0x94D049BB133111EBu;
    hash = (std::rotl(hash, 31) ^ key.parts[3]) * 0x9E3779B97F4A7C15u;
    return words_[hash >> (64 - kWordsLog2)];
  }

 private:
  static constexpr int kWordsLog2 = 14;  // 1 MB a thread that tokenizes
  static constexpr size_t kWords = size_t{1} << kWordsLog2;
  std::unique_ptr<CachedWord[]> words_;
};

uint32_t next_cache_owner() {
  static std::atomic<uint32_t> last{0};
  return ++last;
}

}  // namespace

BpeModel BpeModel::create(Vocabulary vocabulary, MergeTable merges, WholeWords whole_words) {
  BpeModel model(std::move(vocabulary), std::move(merges));
  model.whole_words_ = whole_words;
  model.every_byte_known_ = true;
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    const auto id = model.vocabulary_.find(std::string_view(&c, 1));
    model.byte_ids_[static_cast<size_t>(byte)] = id.value_or(-1);
    if (!id) model.every_byte_known_ = false;
  }
  model.whole_characters_ = WholeCharacters(model.vocabulary_, model.merges_, model.byte_ids_);
  model.cache_owner_ = next_cache_owner();
  return model;
}

Status BpeModel::encode_word(std::string_view word, std::vector<int32_t>& ids) const {
  if (!every_byte_known_) {
    for (const char c : word) {
      if (byte_ids_[static_cast<unsigned char>(c)] >= 0) continue;
      return Error{ErrorCode::kUnsupported, fmt::format("the tokenizer's vocabulary has no token for byte 0x{:02X}",
                                                        static_cast<unsigned char>(c))};
    }
  }
  if (word.size() > CachedWord::kBytesMax) {
    encode_uncached(word, ids);
    return {};
  }
  thread_local WordCache cache;
  const CachedWord::Key key = WordCache::make_key(word, cache_owner_);
  CachedWord& cached = cache.place(key);
  if (cached.key == key) {
    ids.insert(ids.end(), cached.ids, cached.ids + cached.ids_count);
    return {};
  }
  const size_t before = ids.size();
  encode_uncached(word, ids);
  const size_t count = ids.size() - before;
  if (count <= CachedWord::kIdsMax) {
    cached.key = key;
    cached.ids_count = static_cast<uint32_t>(count);
    std::copy(ids.begin() + static_cast<ptrdiff_t>(before), ids.end(), cached.ids);
  }
  return {};
}

void BpeModel::encode_uncached(std::string_view word, std::vector<int32_t>& ids) const {
  if (whole_words_ == WholeWords::kLookedUpFirst) {
    if (const auto id = vocabulary_.find(word)) {
      ids.push_back(*id);
      return;
    }
  }
  if (word.size() <= kShortWordMax) {
    merge_short(word, ids);
  } else {
    merge_long(word, ids);
  }
}

// The parts that merging starts from: bytes, or whole characters where that gives the same. `parts` has room for
// word.size().
size_t BpeModel::first_parts(std::string_view word, int32_t* parts) const {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(word[i]); };
  const auto continues = [&](size_t i) { return i < word.size() && (byte(i) & 0xC0) == 0x80; };
  size_t count = 0;
  for (size_t at = 0; at < word.size();) {
    const uint32_t first = byte(at);
    int32_t whole = -1;
    size_t length = 1;
    if (first >= 0xC0 && first < 0xE0 && continues(at + 1)) {
      length = 2;
      whole = whole_characters_.token_at((first & 0x1F) << 6 | (byte(at + 1) & 0x3Fu), word, at, at + 2);
    } else if (first >= 0xE0 && first < 0xF0 && continues(at + 1) && continues(at + 2)) {
      length = 3;
      const uint32_t code_point = (first & 0x0F) << 12 | (byte(at + 1) & 0x3Fu) << 6 | (byte(at + 2) & 0x3Fu);
      whole = whole_characters_.token_at(code_point, word, at, at + 3);
    }
    if (whole >= 0) {
      parts[count++] = whole;
    } else {
      for (size_t i = 0; i < length; ++i) parts[count++] = byte_ids_[byte(at + i)];
    }
    at += length;
  }
  return count;
}

// Parts and the merge of each part with its right neighbour, side by side in arrays that shrink.
void BpeModel::merge_short(std::string_view word, std::vector<int32_t>& ids) const {
  int32_t parts[kShortWordMax];
  uint32_t ranks[kShortWordMax];  // of (part i, part i + 1)
  int32_t results[kShortWordMax];
  size_t count = first_parts(word, parts);
  const auto look_up = [&](size_t i) {
    const Merge merge = merges_.find(parts[i], parts[i + 1]);
    ranks[i] = merge.rank;
    results[i] = merge.id;
  };
  for (size_t i = 0; i + 1 < count; ++i) look_up(i);
  while (count > 1) {
    size_t best = 0;
    uint32_t best_rank = ranks[0];
    for (size_t i = 1; i + 1 < count; ++i) {
      best = ranks[i] < best_rank ? i : best;
      best_rank = std::min(ranks[i], best_rank);
    }
    if (best_rank == Merge::kNone) break;
    parts[best] = results[best];
    const size_t tail = count - best - 2;  // parts after the merged pair
    std::memmove(parts + best + 1, parts + best + 2, tail * sizeof parts[0]);
    std::memmove(ranks + best, ranks + best + 1, tail * sizeof ranks[0]);
    std::memmove(results + best, results + best + 1, tail * sizeof results[0]);
    --count;
    if (best > 0) look_up(best - 1);
    if (best + 1 < count) look_up(best);
  }
  ids.insert(ids.end(), parts, parts + count);
}

// The same with a linked list and a heap: n log n, for the megabyte of one letter that somebody will send.
void BpeModel::merge_long(std::string_view word, std::vector<int32_t>& ids) const {
  static constexpr uint32_t kEnd = UINT32_MAX;
  struct Part {
    int32_t id;
    uint32_t previous;
    uint32_t next;
    Merge merge;  // with the next part; kNone when there is none or the part is gone
  };
  struct Candidate {
    uint32_t rank;
    uint32_t at;
    bool operator>(const Candidate& other) const { return rank != other.rank ? rank > other.rank : at > other.at; }
  };
  COVE_CHECK(word.size() < kEnd);
  std::vector<int32_t> first(word.size());
  const auto size = static_cast<uint32_t>(first_parts(word, first.data()));
  std::vector<Part> parts(size);
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> queue;
  const auto look_up = [&](uint32_t at) {
    Part& part = parts[at];
    part.merge = part.next == kEnd ? Merge{} : merges_.find(part.id, parts[part.next].id);
    if (part.merge.rank != Merge::kNone) queue.push({part.merge.rank, at});
  };
  for (uint32_t i = 0; i < size; ++i) {
    parts[i] = {first[i], i == 0 ? kEnd : i - 1, i + 1 == size ? kEnd : i + 1, {}};
  }
  for (uint32_t i = 0; i < size; ++i) look_up(i);
  while (!queue.empty()) {
    const Candidate best = queue.top();
    queue.pop();
    Part& left = parts[best.at];
    if (left.merge.rank != best.rank) continue;  // a neighbour was merged meanwhile
    Part& right = parts[left.next];
    left.id = left.merge.id;
    left.next = right.next;
    right.merge = Merge{};
    if (left.next != kEnd) parts[left.next].previous = best.at;
    look_up(best.at);
    if (left.previous != kEnd) look_up(left.previous);
  }
  for (uint32_t at = 0; at != kEnd; at = parts[at].next) ids.push_back(parts[at].id);
}

}  // namespace cove::text
