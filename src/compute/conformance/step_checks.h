#pragma once
// The end of a step in halves, and steps that feed on tokens which the step before still draws. Included by
// conformance.h.

#include <algorithm>
#include <array>
#include <cmath>

#include "compute/conformance/fixture.h"

namespace cove::conformance {

// A model of one product: a row's next token depends on its last one alone. Row r of a step takes the token that row
// (r + shift) % kRows of the step before has drawn.
class TokenChain {
 public:
  static constexpr int64_t kRows = 3;
  static constexpr int64_t kVocab = 80;
  static constexpr int64_t kWidth = 64;
  static constexpr int32_t kBad = 77;  // its row of the table is not finite

  TokenChain(Rig& rig, int32_t shift) : rig_(&rig), shift_(shift) {
    std::vector<float> rows = random_values(kVocab * kWidth, 40);
    std::fill_n(rows.begin() + kBad * kWidth, kWidth, NAN);
    Result<std::unique_ptr<RowTable>> table =
        rig.backend().load_row_table(table_values_.emplace(DType::kF32, Shape{kVocab, kWidth}, rows).view());
    COVE_CHECK(table.has_value());
    table_ = std::move(*table);
    weight_values_.emplace(DType::kF32, Shape{kVocab, kWidth}, random_values(kVocab * kWidth, 41));
    weight_ = rig.load({.name = "next", .parts = {{.weight = weight_values_->view()}}});
    x_ = rig.make(kRows, kWidth);
    logits_ = rig.make(kRows, kVocab, DType::kF32);
  }

  // Tokens of every step, [step][row]. Ahead: each step is submitted before the one before it is waited for.
  std::vector<std::array<int32_t, kRows>> run(std::array<int32_t, kRows> first, int32_t steps, bool ahead) {
    std::vector<std::array<int32_t, kRows>> drawn;
    std::array<int32_t, kRows> inputs = first;
    for (int32_t step = 0; step < steps; ++step) {
      submit(inputs, step);
      if (ahead) {
        if (step > 0) drawn.push_back(wait(step - 1));
        for (int32_t r = 0; r < kRows; ++r) inputs[static_cast<size_t>(r)] = drawn_in_row((r + shift_) % kRows);
        continue;
      }
      drawn.push_back(wait(step));
      for (size_t r = 0; r < inputs.size(); ++r)
        inputs[r] = std::max(drawn.back()[(r + static_cast<size_t>(shift_)) % kRows], 0);
    }
    if (ahead) drawn.push_back(wait(steps - 1));
    return drawn;
  }

 private:
  struct Arrays {  // of a step; the backend may read them until it has ended
    std::array<int32_t, kRows> tokens{};
    std::array<int32_t, kRows> positions{};
    std::array<int32_t, kRows> slots{};
    std::array<SequenceSlice, kRows> sequences{};
    std::array<int32_t, kRows> pages{};
    std::array<int32_t, kRows> logit_rows{0, 1, 2};
    std::vector<SampleParams> params;
    std::vector<SampleResult> results;
    StepBatch batch;
  };

  void submit(const std::array<int32_t, kRows>& inputs, int32_t step) {
    Arrays& a = arrays_[static_cast<size_t>(step % 2)];
    a.tokens = inputs;
    a.params.assign(kRows, {});
    a.results.assign(kRows, {});
    for (int32_t r = 0; r < kRows; ++r) {
      const auto i = static_cast<size_t>(r);
      a.positions[i] = step;
      a.sequences[i] = {.token_begin = r, .token_count = 1, .kv_length = step + 1, .page_begin = r};
      a.params[i].temperature = r == 0 ? 0.0F : 1.0F;
      a.params[i].top_k = r == 1 ? 9 : 0;
      a.params[i].seed = 5 + i;
      a.params[i].position = step + 1;
    }
    a.batch = {.tokens = a.tokens,
               .positions = a.positions,
               .slots = a.slots,
               .sequences = a.sequences,
               .page_table = a.pages,
               .logit_rows = a.logit_rows};
    Backend& backend = rig_->backend();
    backend.begin_step(a.batch);
    backend.embed({.table = table_.get(), .tokens = a.tokens, .out = x_});
    backend.linear({.x = x_, .weight = weight_.get(), .out = logits_});
    backend.sample({.logits = logits_, .params = a.params, .results = a.results});
    COVE_CHECK(backend.submit_step().has_value());
  }

  std::array<int32_t, kRows> wait(int32_t step) {
    COVE_CHECK(rig_->backend().wait_step().has_value());
    std::array<int32_t, kRows> tokens{};
    const Arrays& a = arrays_[static_cast<size_t>(step % 2)];
    for (size_t r = 0; r < tokens.size(); ++r) tokens[r] = a.results[r].token;
    return tokens;
  }

  Rig* rig_;
  int32_t shift_;
  std::optional<HostTensor> table_values_;
  std::optional<HostTensor> weight_values_;
  std::unique_ptr<RowTable> table_;
  std::unique_ptr<LinearWeight> weight_;
  TensorView x_;
  TensorView logits_;
  std::array<Arrays, 2> arrays_;
};

TEST_P(BackendConformance, a_step_in_halves_gives_its_results_when_it_is_waited_for) {
  Rig reference = reference_rig();
  Rig rig(GetParam().make());
  const auto want = TokenChain(reference, 0).run({1, 2, 3}, 1, false);
  EXPECT_EQ(TokenChain(rig, 0).run({1, 2, 3}, 1, false)[0][0], want[0][0]);  // greedy
}

TEST_P(BackendConformance, steps_that_run_ahead_feed_on_the_tokens_of_the_step_before) {
  Rig rig(GetParam().make());
  if (!rig.backend().runs_ahead()) GTEST_SKIP() << "this backend does not run ahead";
  for (const int32_t shift : {0, 1, 2}) {
    TokenChain chain(rig, shift);
    const auto in_turn = chain.run({1, 2, 3}, 9, false);
    EXPECT_EQ(chain.run({1, 2, 3}, 9, true), in_turn) << "shift " << shift;
    for (const auto& tokens : in_turn) EXPECT_TRUE(std::ranges::all_of(tokens, [](int32_t t) { return t >= 0; }));
  }
}

TEST_P(BackendConformance, a_token_that_could_not_be_drawn_harms_no_other_row_of_the_step_ahead) {
  Rig rig(GetParam().make());
  if (!rig.backend().runs_ahead()) GTEST_SKIP() << "this backend does not run ahead";
  TokenChain chain(rig, 0);
  const auto good = chain.run({1, 2, 3}, 4, false);
  const auto bad = chain.run({1, TokenChain::kBad, 3}, 4, true);
  EXPECT_EQ(bad[0][1], -1);
  for (size_t step = 0; step < good.size(); ++step) {
    EXPECT_EQ(bad[step][0], good[step][0]);
    EXPECT_EQ(bad[step][2], good[step][2]);
  }
}

}  // namespace cove::conformance
