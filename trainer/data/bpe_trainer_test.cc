#include "data/bpe_trainer.h"

#include <gtest/gtest.h>

#include "text/tokenizer/tokenizer.h"

namespace cove::trainer {
namespace {

PieceCounts sample_counts() {
  return {{"low", 5}, {"lower", 2}, {"newest", 6}, {"widest", 3}, {" the", 40}, {"苹果", 12}, {"aaaa", 7}};
}

TEST(BpeTrainer, merges_the_most_frequent_pair_first) {
  const BpeVocabulary vocabulary = train_bpe(sample_counts(), 260);
  ASSERT_EQ(vocabulary.tokens.size(), 260U);
  EXPECT_EQ(vocabulary.tokens[256], " t");  // " t", "th" and "he" occur 40 times; the smallest spelling wins
  EXPECT_EQ(vocabulary.tokens[257], " th");
  EXPECT_EQ(vocabulary.tokens[258], " the");
}

TEST(BpeTrainer, counts_stay_true_for_runs_of_one_letter) {
  const BpeVocabulary vocabulary = train_bpe({{"aaaa", 7}, {"bc", 6}}, 300);
  ASSERT_GE(vocabulary.merges.size(), 3U);
  EXPECT_EQ(vocabulary.tokens[256], "aa");
  EXPECT_EQ(vocabulary.tokens[257], "aaaa");
  EXPECT_EQ(vocabulary.tokens[258], "bc");
  EXPECT_EQ(vocabulary.tokens.size(), 259U);  // nothing is left to merge
}

TEST(BpeTrainer, stops_when_nothing_occurs_twice) { EXPECT_EQ(train_bpe({{"xyz", 1}}, 1000).tokens.size(), 256U); }

TEST(BpeTrainer, written_tokenizer_encodes_and_decodes) {
  const BpeVocabulary learned = train_bpe(sample_counts(), 270);
  ASSERT_EQ(learned.tokens.size(), 270U);
  const std::string written = tokenizer_json(learned, {{"<eos>", true}, {"<think>", false}});
  const auto tokenizer = text::Tokenizer::from_json(written);
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  for (const std::string sentence : {"the newest 苹果 low\n\n12 aaaa é", "<think>lower</think><eos>"}) {
    const auto ids = (*tokenizer)->encode(sentence);
    ASSERT_TRUE(ids);
    EXPECT_EQ((*tokenizer)->decode(*ids, false), sentence);
  }
  EXPECT_EQ((*tokenizer)->find_token("<think>"), 271);
}

}  // namespace
}  // namespace cove::trainer
