#include "engine/kv/kv_pool.h"

#include <map>
#include <random>

#include <gtest/gtest.h>

namespace cove::engine {
namespace {

constexpr int64_t kPageTokens = 4;

std::vector<int32_t> tokens_of(std::initializer_list<int32_t> page_starts, int32_t extra = 0) {
  std::vector<int32_t> tokens;
  for (const int32_t start : page_starts) {
    for (int32_t i = 0; i < kPageTokens; ++i) tokens.push_back(start * 100 + i);
  }
  for (int32_t i = 0; i < extra; ++i) tokens.push_back(9000 + i);
  return tokens;
}

SequencePages compute(KvPool& pool, const std::vector<int32_t>& tokens) {
  SequencePages sequence;
  pool.attach_prefix(tokens, sequence);
  EXPECT_TRUE(pool.grow(sequence, static_cast<int64_t>(tokens.size())));
  pool.publish(tokens, static_cast<int64_t>(tokens.size()), sequence);
  return sequence;
}

void expect_intact(const KvPool& pool) {
  const Status status = pool.check_idle_integrity();
  EXPECT_TRUE(status) << status.error().message;
}

TEST(KvPool, grows_by_pages_and_gives_all_back) {
  KvPool pool(4, kPageTokens, PrefixSharing::kOff);
  SequencePages sequence;
  EXPECT_TRUE(pool.grow(sequence, 5));
  EXPECT_EQ(sequence.pages.size(), 2U);
  EXPECT_TRUE(pool.grow(sequence, 8));
  EXPECT_EQ(pool.used(), 2);
  EXPECT_FALSE(pool.grow(sequence, 17));
  EXPECT_EQ(sequence.pages.size(), 2U);  // nothing taken
  pool.release(sequence);
  EXPECT_EQ(pool.available(), 4);
  expect_intact(pool);
}

TEST(KvPool, finds_a_common_beginning_in_whole_pages) {
  KvPool pool(16, kPageTokens, PrefixSharing::kOn);
  SequencePages first = compute(pool, tokens_of({1, 2, 3}, 2));
  SequencePages second;
  EXPECT_EQ(pool.attach_prefix(tokens_of({1, 2, 4}), second), 8);
  EXPECT_EQ(second.pages[1], first.pages[1]);
  pool.release(second);
  pool.release(first);
  EXPECT_EQ(pool.cached(), 3);
  SequencePages third;
  EXPECT_EQ(pool.attach_prefix(tokens_of({1, 2, 3}, 2), third), 12);
  EXPECT_EQ(pool.cached(), 0);
  pool.release(third);
  expect_intact(pool);
}

TEST(KvPool, leaves_at_least_one_token_to_compute) {
  KvPool pool(16, kPageTokens, PrefixSharing::kOn);
  SequencePages first = compute(pool, tokens_of({1, 2}));
  SequencePages second;
  EXPECT_EQ(pool.attach_prefix(tokens_of({1, 2}), second), 4);
  pool.release(second);
  pool.release(first);
  expect_intact(pool);
}

TEST(KvPool, the_same_page_after_another_beginning_is_not_the_same) {
  KvPool pool(16, kPageTokens, PrefixSharing::kOn);
  SequencePages first = compute(pool, tokens_of({1, 2}, 1));
  SequencePages second;
  EXPECT_EQ(pool.attach_prefix(tokens_of({3, 2}, 1), second), 0);
  pool.release(first);
  expect_intact(pool);
}

TEST(KvPool, two_that_compute_the_same_end_up_with_one_page) {
  KvPool pool(16, kPageTokens, PrefixSharing::kOn);
  const auto tokens = tokens_of({1, 2}, 1);
  SequencePages first;
  SequencePages second;
  ASSERT_TRUE(pool.grow(first, 9));
  ASSERT_TRUE(pool.grow(second, 9));
  pool.publish(tokens, 9, first);
  pool.publish(tokens, 9, second);
  EXPECT_EQ(first.pages[0], second.pages[0]);
  EXPECT_EQ(first.pages[1], second.pages[1]);
  EXPECT_NE(first.pages[2], second.pages[2]);
  EXPECT_EQ(pool.used(), 4);
  pool.release(first);
  pool.release(second);
  expect_intact(pool);
}

TEST(KvPool, evicts_the_least_recently_used_leaf_first) {
  KvPool pool(6, kPageTokens, PrefixSharing::kOn);
  SequencePages old_one = compute(pool, tokens_of({1, 2}));
  pool.release(old_one);
  SequencePages newer = compute(pool, tokens_of({1, 3}));
  pool.release(newer);
  SequencePages other = compute(pool, tokens_of({7, 8}));
  pool.release(other);
  EXPECT_EQ(pool.cached(), 5);
  SequencePages big;
  ASSERT_TRUE(pool.grow(big, 2 * kPageTokens));  // one free page and the page of {1, 2}'s end
  SequencePages probe;
  EXPECT_EQ(pool.attach_prefix(tokens_of({1, 3}, 1), probe), 8);
  pool.release(probe);
  EXPECT_EQ(pool.attach_prefix(tokens_of({1, 2}, 1), probe), 4);
  pool.release(probe);
  pool.release(big);
  expect_intact(pool);
}

TEST(KvPool, survives_random_use_without_losing_a_page) {
  std::mt19937 random(20240601);
  KvPool pool(24, kPageTokens, PrefixSharing::kOn);
  std::map<int, std::pair<std::vector<int32_t>, SequencePages>> live;
  for (int step = 0; step < 20'000; ++step) {
    const int key = static_cast<int>(random() % 6);
    if (const auto found = live.find(key); found != live.end()) {
      auto& [tokens, sequence] = found->second;
      if (random() % 3 == 0) {
        pool.release(sequence);
        live.erase(found);
      } else {
        tokens.push_back(static_cast<int32_t>(random() % 2));
        if (pool.grow(sequence, static_cast<int64_t>(tokens.size()))) {
          pool.publish(tokens, static_cast<int64_t>(tokens.size()), sequence);
        } else {
          tokens.pop_back();
        }
      }
      continue;
    }
    std::vector<int32_t> tokens(1 + random() % 20);
    for (int32_t& token : tokens) token = static_cast<int32_t>(random() % 2);
    SequencePages sequence;
    pool.attach_prefix(tokens, sequence);
    if (pool.grow(sequence, static_cast<int64_t>(tokens.size()))) {
      pool.publish(tokens, static_cast<int64_t>(tokens.size()), sequence);
      live.emplace(key, std::pair(tokens, sequence));
    } else {
      pool.release(sequence);
    }
    ASSERT_LE(pool.used(), 24);
  }
  for (auto& [key, item] : live) pool.release(item.second);
  EXPECT_EQ(pool.used(), 0);
  expect_intact(pool);
}

}  // namespace
}  // namespace cove::engine
