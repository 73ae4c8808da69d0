// Merging against the definition taken literally, on vocabularies trained here from random texts.
#include "text/tokenizer/bpe_model.h"

#include <algorithm>
#include <map>
#include <random>

#include <gtest/gtest.h>

#include "base/utf8.h"

namespace cove::text {
namespace {

struct Rules {
  Vocabulary vocabulary;
  std::vector<std::tuple<int32_t, int32_t, int32_t>> merges;  // left, right, result

  static Rules of_bytes() {
    Rules rules;
    for (int byte = 0; byte < 256; ++byte) {
      const char c = static_cast<char>(byte);
      EXPECT_TRUE(rules.vocabulary.add(byte, std::string_view(&c, 1), true));
    }
    return rules;
  }
  void merge(int32_t left, int32_t right) {
    const auto id = vocabulary.size();
    const std::string bytes = std::string(vocabulary.bytes(left)) + std::string(vocabulary.bytes(right));
    EXPECT_TRUE(vocabulary.add(id, bytes, true));
    merges.emplace_back(left, right, id);
  }
  BpeModel model(BpeModel::WholeWords whole_words = BpeModel::WholeWords::kMerged) const {
    MergeTable table(merges.size());
    for (size_t rank = 0; rank < merges.size(); ++rank) {
      const auto& [left, right, id] = merges[rank];
      table.insert(left, right, {static_cast<uint32_t>(rank), id});
    }
    Vocabulary sealed = vocabulary;
    sealed.seal();
    return BpeModel::create(std::move(sealed), std::move(table), whole_words);
  }
};

// The lowest-ranked merge that is possible anywhere, leftmost first, until none is.
std::vector<int32_t> merge_literally(const Rules& rules, std::string_view word) {
  std::map<std::pair<int32_t, int32_t>, std::pair<size_t, int32_t>> table;
  for (size_t rank = 0; rank < rules.merges.size(); ++rank) {
    const auto& [left, right, id] = rules.merges[rank];
    table[{left, right}] = {rank, id};
  }
  std::vector<int32_t> parts;
  for (const char c : word) parts.push_back(static_cast<unsigned char>(c));
  for (;;) {
    std::pair<size_t, int32_t> best{SIZE_MAX, -1};
    size_t best_at = 0;
    for (size_t i = 0; i + 1 < parts.size(); ++i) {
      const auto found = table.find({parts[i], parts[i + 1]});
      if (found == table.end() || found->second.first >= best.first) continue;
      best = found->second;
      best_at = i;
    }
    if (best.first == SIZE_MAX) return parts;
    parts[best_at] = best.second;
    parts.erase(parts.begin() + static_cast<ptrdiff_t>(best_at) + 1);
  }
}

std::string random_word(std::mt19937& random, size_t characters) {
  static const char32_t kCharacters[] = {'a',    'b',    ' ',    0xE9,  0x431, 0x432,  0x4E2D,
                                         0x4E2E, 0x6587, 0x6588, 0xE01, 0xE34, 0x1F600};
  std::string word;
  for (size_t i = 0; i < characters; ++i) append_utf8(word, kCharacters[random() % std::size(kCharacters)]);
  return word;
}

// Merges in random order, also ones that no training would find: across characters, before their parts, useless ones.
Rules random_rules(std::mt19937& random, size_t count) {
  Rules rules = Rules::of_bytes();
  while (rules.merges.size() < count) {
    const std::string word = random_word(random, 6);
    std::vector<int32_t> parts = merge_literally(rules, word);
    if (parts.size() < 2) continue;
    const size_t at = random() % (parts.size() - 1);
    rules.merge(parts[at], parts[at + 1]);
  }
  if (random() % 2 == 0) std::shuffle(rules.merges.begin(), rules.merges.end(), random);
  return rules;
}

TEST(BpeModel, merges_as_defined_whatever_the_vocabulary) {
  std::mt19937 random(20261124);
  for (int round = 0; round < 60; ++round) {
    const Rules rules = random_rules(random, 1 + random() % 120);
    const BpeModel model = rules.model();
    for (int i = 0; i < 100; ++i) {
      const std::string word = random_word(random, 1 + random() % 20);
      std::vector<int32_t> ids;
      ASSERT_TRUE(model.encode_word(word, ids));
      ASSERT_EQ(ids, merge_literally(rules, word)) << "round " << round << ", seed 20261124: " << word;
    }
    const std::string long_word = random_word(random, 300);
    std::vector<int32_t> ids;
    ASSERT_TRUE(model.encode_word(long_word, ids));
    ASSERT_EQ(ids, merge_literally(rules, long_word)) << "long word of round " << round;
  }
}

TEST(BpeModel, gives_the_same_from_the_cache) {
  std::mt19937 random(3);
  const Rules rules = random_rules(random, 50);
  const BpeModel first = rules.model();
  const BpeModel other = Rules::of_bytes().model();
  for (int i = 0; i < 3; ++i) {
    std::vector<int32_t> ids;
    ASSERT_TRUE(first.encode_word("abab", ids));
    EXPECT_EQ(ids, merge_literally(rules, "abab"));
    ids.clear();
    ASSERT_TRUE(other.encode_word("abab", ids));
    EXPECT_EQ(ids, (std::vector<int32_t>{'a', 'b', 'a', 'b'})) << "one model's words are not another's";
  }
}

TEST(BpeModel, looks_whole_words_up_first_when_told) {
  Rules rules = Rules::of_bytes();
  ASSERT_TRUE(rules.vocabulary.add(256, "abc", true));  // no merge leads to it
  std::vector<int32_t> ids;
  ASSERT_TRUE(rules.model(BpeModel::WholeWords::kLookedUpFirst).encode_word("abc", ids));
  EXPECT_EQ(ids, (std::vector<int32_t>{256}));
  ids.clear();
  ASSERT_TRUE(rules.model().encode_word("abc", ids));
  EXPECT_EQ(ids, (std::vector<int32_t>{'a', 'b', 'c'}));
}

TEST(BpeModel, names_a_byte_that_the_vocabulary_lacks) {
  Vocabulary vocabulary;
  ASSERT_TRUE(vocabulary.add(0, "a", true));
  vocabulary.seal();
  const BpeModel model = BpeModel::create(std::move(vocabulary), MergeTable(0), BpeModel::WholeWords::kMerged);
  std::vector<int32_t> ids;
  EXPECT_TRUE(model.encode_word("aa", ids));
  const Status status = model.encode_word("ab", ids);
  ASSERT_FALSE(status);
  EXPECT_NE(status.error().message.find("0x62"), std::string::npos);
}

TEST(Vocabulary, refuses_ids_out_of_range_and_twice) {
  Vocabulary vocabulary;
  EXPECT_FALSE(vocabulary.add(-1, "a", true));
  EXPECT_FALSE(vocabulary.add(kTokenIdEnd, "a", true));
  EXPECT_TRUE(vocabulary.add(5, "a", true));
  EXPECT_FALSE(vocabulary.add(5, "b", true));
  EXPECT_EQ(vocabulary.size(), 6);
  EXPECT_EQ(vocabulary.bytes(4), "");
  EXPECT_EQ(vocabulary.bytes(6), "");
}

}  // namespace
}  // namespace cove::text
