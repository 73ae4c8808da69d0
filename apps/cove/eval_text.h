#pragma once
// How well a model predicts a text, and how far it is from another model there. Used by cmd_eval.cc.
//
// perplexity = exp(mean of -ln p(token | what precedes it)). The text is read in windows that overlap: each token is
// predicted once, with at least window - stride tokens in front of it (fewer at the text's beginning).
// divergence = KL(reference || model) = sum over the vocabulary of p_ref (ln p_ref - ln p_model), per position, in
// nats: 0 where both say the same.

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "logit_reader.h"

namespace cove::app {

struct TextOptions {
  int64_t window = 512;        // tokens seen at once, BOS included; at most the readers' positions
  int64_t stride = 256;        // tokens by which a window moves on, in [1, window - 1]
  std::optional<int32_t> bos;  // stands in front of every window
};

// Of the distributions at all predicted tokens.
struct Divergence {
  double mean = 0;  // nats
  double median = 0;
  double p99 = 0;
  double max = 0;
  double top1_share = 0;  // of positions where both hold the same token for the likeliest, 0..1
};

struct TextScore {
  int64_t tokens = 0;  // predicted
  int64_t windows = 0;
  double nats = 0;                       // sum of -ln p, by the model
  std::optional<double> against_nats{};  // by the reference
  std::optional<Divergence> divergence{};

  double perplexity() const;
  double against_perplexity() const;
};

// `against` may be null; else it has the same vocabulary. `progress` hears how many tokens have been predicted.
// Errors: kInvalidArgument for a text too short to predict anything; kDataCorrupt when logits are not finite; of the
// device.
Result<TextScore> score_text(LogitReader& model, LogitReader* against, std::span<const int32_t> ids,
                             const TextOptions& options, const std::function<void(int64_t)>& progress);

// ln(sum of exp): -ln p(i) = log_sum_exp(row) - row[i].
double log_sum_exp(std::span<const float> row);
// KL(reference || model) of two rows of logits, in nats.
double kl_divergence(std::span<const float> reference, std::span<const float> model);

}  // namespace cove::app
