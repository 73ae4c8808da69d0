#pragma once
// One engine step as plain arrays: which tokens of which sequences are computed, where their keys and values lie, and
// whose logits are wanted. Made by engine/scheduler, read by model/ and by every backend. Host memory; a backend that
// computes elsewhere copies it in begin_step.

#include <cstdint>
#include <span>

namespace cove {

// One sequence's part of a step: the tokens [token_begin, token_begin + token_count) of the step are its positions
// [kv_length - token_count, kv_length).
struct SequenceSlice {
  int32_t token_begin = 0;
  int32_t token_count = 0;
  int32_t kv_length = 0;   // keys visible to its last token, this step's included
  int32_t page_begin = 0;  // its pages are page_table[page_begin ...], ceil(kv_length / page_tokens) of them
};

// In StepBatch::tokens: the token that the step before draws in row `row` of its SampleArgs, for a step that is begun
// before that token is known. Only where Backend::runs_ahead() and the row's draw needs no host (draws_unaided).
constexpr int32_t drawn_in_row(int32_t row) { return -1 - row; }
constexpr bool is_drawn_before(int32_t token) { return token < 0; }
constexpr int32_t row_of_drawn(int32_t token) { return -1 - token; }

struct StepBatch {
  std::span<const int32_t> tokens{};           // [T] ids, or drawn_in_row(row of the step before)
  std::span<const int32_t> positions{};        // [T] position of each token in its sequence
  std::span<const int32_t> slots{};            // [T] where its key and value go: page * page_tokens + offset in page
  std::span<const SequenceSlice> sequences{};  // [S] in token order, covering [0, T) without gaps
  std::span<const int32_t> page_table{};       // page numbers, see SequenceSlice::page_begin
  std::span<const int32_t> logit_rows{};       // [R] ascending token rows whose logits are wanted; may be empty

  int64_t token_count() const { return static_cast<int64_t>(tokens.size()); }
  int64_t logit_count() const { return static_cast<int64_t>(logit_rows.size()); }
};

}  // namespace cove
