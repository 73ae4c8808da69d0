#include "engine/output/token_rules.h"

#include <algorithm>

namespace cove::engine {
namespace {

bool is_penalised(const SamplingOptions& sampling) {
  return sampling.repetition_penalty != 1.0F || sampling.presence_penalty != 0.0F || sampling.frequency_penalty != 0.0F;
}

}  // namespace

TokenRules::TokenRules(const Request& request, int64_t prompt_tokens, const TokenRulesContext& context)
    : request_(&request),
      prompt_tokens_(prompt_tokens),
      vocab_(context.vocab),
      ends_(request.stop_tokens),
      thinking_(request.thinking.has_value()) {
  if (!request.ignore_eos) ends_.insert(ends_.end(), context.eos_ids.begin(), context.eos_ids.end());
  if (request.constraint) {
    constraint_ = request.constraint->make();
    constraint_waits_ = request.constraint->after_token >= 0;
  }
  for (const auto& [token, bias] : request.sampling.logit_bias) bias_.push_back({.token = token, .bias = bias});
}

bool TokenRules::forcing() const {
  return thinking_ && forced_ < request_->thinking->close_tokens.size() &&
         (forced_ > 0 || generated_ >= request_->thinking->tokens);
}

void TokenRules::allow_only(int32_t token) {
  allowed_.assign(static_cast<size_t>(vocab_ + 31) / 32, 0);
  allowed_[static_cast<size_t>(token) / 32] = 1U << (token % 32);
}

void TokenRules::forbid_ends() {
  allowed_.assign(static_cast<size_t>(vocab_ + 31) / 32, ~0U);
  for (const int32_t token : ends_) {
    if (token >= 0 && token < vocab_) allowed_[static_cast<size_t>(token) / 32] &= ~(1U << (token % 32));
  }
}

// The answer may end where the grammar is complete, and must end where nothing else is left.
void TokenRules::allow_constraint() {
  const std::span<const uint32_t> tokens = constraint_->allowed();
  allowed_.assign(static_cast<size_t>(vocab_ + 31) / 32, 0);
  std::copy_n(tokens.begin(), std::min(tokens.size(), allowed_.size()), allowed_.begin());
  const bool nothing_left = std::ranges::all_of(allowed_, [](uint32_t word) { return word == 0; });
  if (!constraint_->complete() || (generated_ < request_->tokens_min && !nothing_left)) return;
  for (const int32_t token : ends_) {
    if (token >= 0 && token < vocab_) allowed_[static_cast<size_t>(token) / 32] |= 1U << (token % 32);
  }
}

SampleParams TokenRules::next(std::span<const int32_t> tokens) {
  const SamplingOptions& sampling = request_->sampling;
  if (forcing()) {
    allow_only(request_->thinking->close_tokens[forced_]);
  } else if (constrained()) {
    allow_constraint();
  } else if (generated_ < request_->tokens_min || constraint_waits_) {
    forbid_ends();
  } else {
    allowed_.clear();
  }
  return {.temperature = sampling.temperature,
          .top_k = sampling.top_k,
          .top_p = sampling.top_p,
          .min_p = sampling.min_p,
          .repetition_penalty = sampling.repetition_penalty,
          .presence_penalty = sampling.presence_penalty,
          .frequency_penalty = sampling.frequency_penalty,
          .seed = sampling.seed,
          .position = static_cast<int64_t>(tokens.size()),
          .output_counts = counts_,
          .prompt_tokens = tokens.first(static_cast<size_t>(prompt_tokens_)),
          .logit_bias = bias_,
          .allowed = allowed_,
          .top_logprobs = sampling.top_logprobs};
}

SampleParams TokenRules::next_but_one(std::span<const int32_t> tokens) const {
  const SamplingOptions& sampling = request_->sampling;
  return {.temperature = sampling.temperature,
          .top_k = sampling.top_k,
          .top_p = sampling.top_p,
          .min_p = sampling.min_p,
          .seed = sampling.seed,
          .position = static_cast<int64_t>(tokens.size()) + 1};
}

bool TokenRules::knows_next_but_one() const {
  const SamplingOptions& sampling = request_->sampling;
  if (constraint_ != nullptr || !bias_.empty() || sampling.top_logprobs >= 0 || is_penalised(sampling)) return false;
  if (generated_ + 1 < request_->tokens_min) return false;
  // The unknown token may end the thinking, or spend the budget.
  return !thinking_ || (forced_ == 0 && generated_ + 1 < request_->thinking->tokens);
}

bool TokenRules::ends(int32_t token) const { return std::ranges::find(ends_, token) != ends_.end(); }

void TokenRules::accept(int32_t token) {
  const bool forced = forcing();
  if (constrained() && !forced) constraint_->accept(token);
  if (constraint_waits_ && token == request_->constraint->after_token) constraint_waits_ = false;
  if (forced) {
    ++forced_;
    if (forced_ == request_->thinking->close_tokens.size()) thinking_ = false;
  } else if (thinking_ && token == request_->thinking->end_token) {
    thinking_ = false;
  }
  ++generated_;
  if (!is_penalised(request_->sampling)) return;
  const auto [found, is_new] = count_of_.try_emplace(token, counts_.size());
  if (is_new) counts_.push_back({.token = token, .count = 0});
  ++counts_[found->second].count;
}

}  // namespace cove::engine
