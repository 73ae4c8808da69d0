#pragma once
// rope_kv, attention and copy_page over the paged cache: mixed steps of prefill chunks and decodes, scattered pages,
// every head shape and cache format. Included by conformance.h.

#include <algorithm>
#include <numeric>

#include "compute/conformance/attention_rig.h"
#include "compute/conformance/fixture.h"

namespace cove::conformance {

// Steps that mix prefill chunks with decodes: whole prompts, a chunk that ends in the middle of a page, single tokens.
inline const std::vector<std::vector<StepPart>>& mixed_steps() {
  static const std::vector<std::vector<StepPart>> steps = {
      {{0, 37}},
      {{0, 1}, {1, 5}, {2, 64}},
      {{2, 1}, {1, 20}, {0, 1}, {3, 1}},
      {{1, 1}, {3, 16}, {2, 1}},
      {{0, 1}, {1, 1}, {2, 1}, {3, 1}},
  };
  return steps;
}

// An error of a score changes a weight by as much, relatively, and the result is an average: a few units of the scores'
// size times sqrt(head_dim) rounding errors, beside what storing the result costs. Scores here stay below about 20.
inline double attention_tolerance(const AttentionCase& c, DType activation) {
  const double accumulation = kSigmas * 20 * (4 + std::sqrt(static_cast<double>(c.head_dim))) * kUnitF32;
  // A key on the edge between two cached values may round the other way than the reference's: half a unit of one
  // element in a few.
  // (Of e4m3 that does not happen: both round values that bf16 holds, see attention_values.)
  const bool rounds_twice = c.cache == DType::kF32 || c.cache == DType::kE4M3;
  const double cached = rounds_twice ? 0 : activation_unit(c.cache) / 4;
  return accumulation + cached + 4 * activation_unit(activation);
}

inline void check_attention(const BackendCase& backend, const AttentionCase& c) {
  SCOPED_TRACE(c.name());
  AttentionRig reference(make_reference_backend(), c);
  AttentionRig rig(backend.make(), c);
  SequenceBook book(c.page_tokens);
  uint32_t seed = 40;
  for (const std::vector<StepPart>& parts : mixed_steps()) {
    const StepBatch step = book.next(parts);
    for (int64_t layer = 0; layer < 2; ++layer) {
      const std::vector<float> qkv = attention_values(c, step.token_count(), seed++);
      const auto want = reference.run(step, qkv, layer);
      const auto got = rig.run(step, qkv, layer);
      const DType activation = rig.rig().backend().activation_dtype();
      // Sines and cosines of angles up to about 100 radians, and where asked a norm before.
      ASSERT_LE(row_error(got.queries, want.queries, c.head_dim),
                (24 + std::sqrt(static_cast<double>(c.head_dim))) * activation_unit(activation));
      ASSERT_LE(row_error(got.attention, want.attention, c.head_dim), attention_tolerance(c, activation))
          << "step of seed " << seed;
    }
  }
}

TEST_P(BackendConformance, attention_matches_reference_for_every_head_dim) {
  for (const int64_t head_dim : {8, 16, 32, 64, 80, 96, 128}) {
    check_attention(GetParam(), {.head_dim = head_dim, .cache = GetParam().caches.front()});
  }
}

TEST_P(BackendConformance, attention_matches_reference_for_every_cache_format_and_rope_style) {
  for (const DType cache : GetParam().caches) {
    for (const bool qk_norm : {false, true}) {
      for (const bool interleaved : {false, true}) {
        check_attention(GetParam(), {.head_dim = 32, .cache = cache, .qk_norm = qk_norm, .interleaved = interleaved});
      }
    }
    // Whose prompts a GPU may compute with a kernel of its own.
    check_attention(GetParam(), {.heads = 7, .kv_heads = 1, .head_dim = 128, .cache = cache});
  }
}

TEST_P(BackendConformance, attention_matches_reference_for_every_group_size_and_page_size) {
  for (const auto& [heads, kv_heads] : {std::pair<int64_t, int64_t>{1, 1}, {3, 3}, {6, 2}, {12, 2}, {8, 1}, {20, 1}}) {
    const DType cache = GetParam().caches.front();
    check_attention(GetParam(), {.heads = heads, .kv_heads = kv_heads, .head_dim = 32, .cache = cache});
  }
  for (const int64_t page_tokens : {32, 64}) {
    check_attention(GetParam(), {.head_dim = 16, .cache = GetParam().caches.front(), .page_tokens = page_tokens});
  }
}

// Rows [begin, begin + count) of a [T, width] array.
inline std::vector<float> rows_of(const std::vector<float>& values, int64_t width, int64_t begin, int64_t count) {
  return {values.begin() + begin * width, values.begin() + (begin + count) * width};
}

TEST_P(BackendConformance, attention_has_the_same_bits_whole_chunked_and_beside_other_sequences) {
  if (!GetParam().batch_invariant) GTEST_SKIP() << "not promised in this mode";
  for (const DType cache : GetParam().caches) {
    const AttentionCase c = {.heads = 6, .kv_heads = 2, .head_dim = 80, .cache = cache, .qk_norm = true};
    const int64_t out_width = c.heads * c.head_dim;
    const std::vector<float> qkv = attention_values(c, 61, 60);
    const std::vector<float> other = attention_values(c, 200, 61);

    AttentionRig whole(GetParam().make(), c);
    SequenceBook whole_book(16);
    const auto want = whole.run(whole_book.next({{0, 61}}), qkv, 0).attention;

    AttentionRig mixed(GetParam().make(), c);
    SequenceBook book(16);
    int64_t done = 0;
    int64_t other_done = 0;
    for (const int32_t chunk : {7, 1, 16, 30, 1, 5, 1}) {
      const int32_t beside = chunk % 3 + 1;
      const StepBatch step = book.next({{1, beside}, {0, chunk}});
      std::vector<float> rows = rows_of(other, c.width(), other_done, beside);
      const std::vector<float> mine = rows_of(qkv, c.width(), done, chunk);
      rows.insert(rows.end(), mine.begin(), mine.end());
      const auto got = mixed.run(step, rows, 0).attention;
      ASSERT_EQ(rows_of(got, out_width, beside, chunk), rows_of(want, out_width, done, chunk)) << "chunk at " << done;
      done += chunk;
      other_done += beside;
    }
    ASSERT_EQ(done, 61);
  }
}

TEST_P(BackendConformance, attention_ignores_what_lies_behind_a_sequences_end) {
  for (const DType cache : GetParam().caches) {
    const AttentionCase c = {.heads = 4, .kv_heads = 2, .head_dim = 32, .cache = cache};
    AttentionRig clean(GetParam().make(), c);
    AttentionRig dirty(GetParam().make(), c);
    // The pages that are taken first belong to a sequence of NaNs before.
    constexpr int32_t kDirty = 8 * 16;
    SequenceBook garbage(16);
    dirty.run(garbage.next({{0, kDirty}}), std::vector<float>(static_cast<size_t>(kDirty * c.width()), NAN), 0);
    SequenceBook book(16);
    for (const std::vector<StepPart>& parts : {std::vector<StepPart>{{0, 21}, {1, 3}}, {{0, 1}, {1, 1}}}) {
      const StepBatch step = book.next(parts);
      const std::vector<float> qkv = attention_values(c, step.token_count(), 62);
      const auto want = clean.run(step, qkv, 0).attention;
      EXPECT_EQ(dirty.run(step, qkv, 0).attention, want) << c.name();
    }
  }
}

TEST_P(BackendConformance, a_cached_nan_reaches_those_who_see_it_and_nobody_else) {
  for (const DType cache : GetParam().caches) {
    const AttentionCase c = {.heads = 4, .kv_heads = 2, .head_dim = 64, .cache = cache};
    AttentionRig rig(GetParam().make(), c);
    SequenceBook book(16);
    const StepBatch prompts = book.next({{0, 9}, {1, 9}});
    std::vector<float> qkv = attention_values(c, prompts.token_count(), 65);
    // A key of the first sequence's third token and a value of the second's fifth, of the second key head each.
    qkv[static_cast<size_t>(2 * c.width() + (c.heads + 1) * c.head_dim + 5)] = NAN;
    qkv[static_cast<size_t>(13 * c.width() + (c.heads + c.kv_heads + 1) * c.head_dim + 7)] = NAN;
    rig.run(prompts, qkv, 0);
    const StepBatch step = book.next({{0, 1}, {1, 1}, {2, 1}});
    const auto got = rig.run(step, attention_values(c, 3, 66), 0).attention;
    for (int64_t sequence = 0; sequence < 3; ++sequence) {
      for (int64_t head = 0; head < c.heads; ++head) {
        const auto row = rows_of(got, c.head_dim, sequence * c.heads + head, 1);
        const bool finite = std::all_of(row.begin(), row.end(), [](float v) { return std::isfinite(v); });
        EXPECT_EQ(finite, sequence == 2 || head < 2) << c.name() << " sequence " << sequence << " head " << head;
      }
    }
  }
}

TEST_P(BackendConformance, copy_page_moves_the_named_positions_of_every_layer) {
  for (const DType cache : GetParam().caches) {
    const AttentionCase c = {.heads = 2, .kv_heads = 2, .head_dim = 48, .cache = cache, .page_tokens = 32};
    AttentionRig rig(GetParam().make(), c);
    const std::vector<float> history = attention_values(c, 27, 63);
    const std::vector<float> token = attention_values(c, 1, 64);
    std::vector<int32_t> positions(27), slots(27);
    std::iota(positions.begin(), positions.end(), 0);
    for (int32_t i = 0; i < 27; ++i) slots[static_cast<size_t>(i)] = 5 * 32 + i;
    const std::vector<int32_t> ids(27, 0);
    const std::vector<SequenceSlice> slices = {{.token_begin = 0, .token_count = 27, .kv_length = 27, .page_begin = 0}};
    const std::vector<SequenceSlice> next = {{.token_begin = 0, .token_count = 1, .kv_length = 28, .page_begin = 0}};
    const auto prefill_table = std::vector<int32_t>{5};
    const auto copied_table = std::vector<int32_t>{9};
    const std::vector<int32_t> position = {27}, slot = {5 * 32 + 27}, copied_slot = {9 * 32 + 27}, id = {0};
    for (int64_t layer = 0; layer < 2; ++layer) {
      rig.run({.tokens = ids, .positions = positions, .slots = slots, .sequences = slices, .page_table = prefill_table},
              history, layer);
    }
    rig.rig().backend().copy_page({.cache = &rig.cache(), .from = 5, .to = 9, .count = 27});
    for (int64_t layer = 0; layer < 2; ++layer) {
      const auto want =
          rig.run({.tokens = id, .positions = position, .slots = slot, .sequences = next, .page_table = prefill_table},
                  token, layer);
      const auto got = rig.run(
          {.tokens = id, .positions = position, .slots = copied_slot, .sequences = next, .page_table = copied_table},
          token, layer);
      EXPECT_EQ(got.attention, want.attention) << "layer " << layer;
    }
  }
}

}  // namespace cove::conformance
