#include "data/bpe_trainer.h"

#include <algorithm>
#include <queue>

#include <boost/json.hpp>

#include "text/tokenizer/byte_alphabet.h"

namespace cove::trainer {
namespace {

namespace json = boost::json;

// The pattern that Qwen2 publishes in its tokenizer.json.
constexpr const char* kQwen2Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

using Pair = uint64_t;  // left id << 32 | right id

Pair make_pair_key(int32_t left, int32_t right) {
  return (static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32) | static_cast<uint32_t>(right);
}
int32_t left_of(Pair pair) { return static_cast<int32_t>(pair >> 32); }
int32_t right_of(Pair pair) { return static_cast<int32_t>(pair & 0xFFFFFFFFU); }

struct Word {
  std::vector<int32_t> ids;
  int64_t count = 0;
};

struct PairState {
  int64_t count = 0;
  std::vector<int32_t> words;  // where it occurs, maybe no longer
};

class Learner {
 public:
  explicit Learner(const PieceCounts& counts) {
    for (int byte = 0; byte < 256; ++byte) vocabulary_.tokens.emplace_back(1, static_cast<char>(byte));
    std::vector<const PieceCounts::value_type*> sorted;
    for (const auto& entry : counts) sorted.push_back(&entry);
    std::sort(sorted.begin(), sorted.end(), [](const auto* a, const auto* b) { return a->first < b->first; });
    for (const auto* entry : sorted) add_word(entry->first, entry->second);
    for (const auto& [pair, state] : pairs_) candidates_.push({state.count, pair});
  }

  BpeVocabulary learn(size_t tokens_wanted) {
    while (vocabulary_.tokens.size() < tokens_wanted) {
      const Pair best = pop_best();
      if (best == kNone) break;
      merge(best);
    }
    return std::move(vocabulary_);
  }

 private:
  static constexpr Pair kNone = ~Pair{0};
  struct Candidate {
    int64_t count;
    Pair pair;
  };

  void add_word(const std::string& piece, int64_t count) {
    Word word{{}, count};
    for (const char c : piece) word.ids.push_back(static_cast<unsigned char>(c));
    const auto index = static_cast<int32_t>(words_.size());
    for (size_t i = 0; i + 1 < word.ids.size(); ++i)
      add_pair(make_pair_key(word.ids[i], word.ids[i + 1]), index, count);
    words_.push_back(std::move(word));
  }

  void add_pair(Pair pair, int32_t word, int64_t count) {
    PairState& state = pairs_[pair];
    state.count += count;
    if (state.words.empty() || state.words.back() != word) state.words.push_back(word);
  }

  bool before(Pair a, Pair b) const {
    const auto spell = [&](Pair p) {
      return std::pair(std::string_view(vocabulary_.tokens[static_cast<size_t>(left_of(p))]),
                       std::string_view(vocabulary_.tokens[static_cast<size_t>(right_of(p))]));
    };
    return spell(a) < spell(b);
  }

  // The heap holds stale counts: an entry counts only when it agrees with the pair's present count.
  Pair pop_best() {
    while (!candidates_.empty()) {
      const Candidate top = candidates_.top();
      candidates_.pop();
      const auto found = pairs_.find(top.pair);
      if (found == pairs_.end() || found->second.count != top.count) continue;
      if (top.count < 2) return kNone;
      return top.pair;
    }
    return kNone;
  }

  void merge(Pair pair) {
    const int32_t left = left_of(pair);
    const int32_t right = right_of(pair);
    const std::string& a = vocabulary_.tokens[static_cast<size_t>(left)];
    const std::string& b = vocabulary_.tokens[static_cast<size_t>(right)];
    vocabulary_.merges.emplace_back(a, b);
    std::string joined = a + b;
    const auto merged = static_cast<int32_t>(vocabulary_.tokens.size());
    vocabulary_.tokens.push_back(std::move(joined));
    const std::vector<int32_t> where = std::move(pairs_[pair].words);
    pairs_.erase(pair);
    std::vector<Pair> changed;
    for (const int32_t index : where)
      merge_in_word(words_[static_cast<size_t>(index)], index, left, right, merged, changed);
    std::sort(changed.begin(), changed.end());
    changed.erase(std::unique(changed.begin(), changed.end()), changed.end());
    for (const Pair p : changed) {
      const auto found = pairs_.find(p);
      if (found != pairs_.end() && found->second.count > 0) candidates_.push({found->second.count, p});
    }
  }

  void merge_in_word(Word& word, int32_t index, int32_t left, int32_t right, int32_t merged,
                     std::vector<Pair>& changed) {
    const auto forget = [&](int32_t a, int32_t b) {
      const Pair p = make_pair_key(a, b);
      const auto found = pairs_.find(p);
      if (found == pairs_.end()) return;
      found->second.count -= word.count;
      changed.push_back(p);
    };
    const auto learn = [&](int32_t a, int32_t b) {
      add_pair(make_pair_key(a, b), index, word.count);
      changed.push_back(make_pair_key(a, b));
    };
    std::vector<int32_t> out;
    const std::vector<int32_t>& ids = word.ids;
    for (size_t i = 0; i < ids.size(); ++i) {
      if (i + 1 >= ids.size() || ids[i] != left || ids[i + 1] != right) {
        out.push_back(ids[i]);
        continue;
      }
      if (!out.empty()) {
        forget(out.back(), left);
        learn(out.back(), merged);
      }
      if (i + 2 < ids.size()) {
        forget(right, ids[i + 2]);
        // If the next two merge as well, the pair (merged, merged) is learned when they do, through out.back().
        const bool next_merges = i + 3 < ids.size() && ids[i + 2] == left && ids[i + 3] == right;
        if (!next_merges) learn(merged, ids[i + 2]);
      }
      out.push_back(merged);
      ++i;
    }
    word.ids = std::move(out);
  }

  struct Worse {
    const Learner* learner;
    bool operator()(const Candidate& a, const Candidate& b) const {
      if (a.count != b.count) return a.count < b.count;
      return learner->before(b.pair, a.pair);
    }
  };

  BpeVocabulary vocabulary_;
  std::vector<Word> words_;
  std::unordered_map<Pair, PairState> pairs_;
  std::priority_queue<Candidate, std::vector<Candidate>, Worse> candidates_{Worse{this}};
};

json::object added_token(const SpecialToken& token, int64_t id) {
  return {{"id", id},        {"content", token.text}, {"single_word", false},    {"lstrip", false},
          {"rstrip", false}, {"normalized", false},   {"special", token.special}};
}

}  // namespace

BpeVocabulary train_bpe(const PieceCounts& counts, size_t tokens_wanted) {
  return Learner(counts).learn(tokens_wanted);
}

std::string tokenizer_json(const BpeVocabulary& vocabulary, const std::vector<SpecialToken>& special_tokens) {
  json::object vocab;
  for (size_t i = 0; i < vocabulary.tokens.size(); ++i)
    vocab[text::to_byte_alphabet(vocabulary.tokens[i])] = static_cast<int64_t>(i);
  json::array merges;
  for (const auto& [left, right] : vocabulary.merges) {
    merges.emplace_back(text::to_byte_alphabet(left) + " " + text::to_byte_alphabet(right));
  }
  json::array added;
  auto id = static_cast<int64_t>(vocabulary.tokens.size());
  for (const SpecialToken& token : special_tokens) added.emplace_back(added_token(token, id++));
  const json::object byte_level{
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", false}, {"use_regex", false}};
  const json::object split{
      {"type", "Split"}, {"pattern", {{"Regex", kQwen2Pattern}}}, {"behavior", "Isolated"}, {"invert", false}};
  const json::object document{
      {"version", "1.0"},
      {"truncation", nullptr},
      {"padding", nullptr},
      {"added_tokens", added},
      {"normalizer", nullptr},
      {"pre_tokenizer", {{"type", "Sequence"}, {"pretokenizers", json::array{split, byte_level}}}},
      {"post_processor", nullptr},
      {"decoder", byte_level},
      {"model",
       {{"type", "BPE"},
        {"dropout", nullptr},
        {"unk_token", nullptr},
        {"continuing_subword_prefix", ""},
        {"end_of_word_suffix", ""},
        {"fuse_unk", false},
        {"byte_fallback", false},
        {"vocab", vocab},
        {"merges", merges}}}};
  return json::serialize(document);
}

}  // namespace cove::trainer
