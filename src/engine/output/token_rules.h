#pragma once
// What a request's next token may be, and when its tokens end: sampling parameters per position, end tokens, the least
// number of tokens, the thinking budget, a grammar. Its state is a function of the tokens alone, so that a resumed
// sequence goes on alike.

#include <cstdint>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "compute/sampling.h"
#include "engine/api/engine.h"

namespace cove::engine {

struct TokenRulesContext {
  int64_t vocab = 0;  // size of a row of logits
  std::span<const int32_t> eos_ids;
};

class TokenRules {
 public:
  // `request` outlives this; its prompt is not looked at.
  TokenRules(const Request& request, int64_t prompt_tokens, const TokenRulesContext& context);
  TokenRules(const TokenRules&) = delete;
  TokenRules& operator=(const TokenRules&) = delete;

  // How the token after `tokens` (prompt, then generated) is drawn. The spans inside are valid until the next accept().
  SampleParams next(std::span<const int32_t> tokens);
  // Likewise for the token after the one after `tokens`, which is being drawn and not known: only when
  // knows_next_but_one says that these parameters are the same whatever it is, and that the draw is unaided
  // (draws_unaided).
  SampleParams next_but_one(std::span<const int32_t> tokens) const;
  bool knows_next_but_one() const;
  // Whether this token ends the sequence; it is then not part of the answer.
  bool ends(int32_t token) const;
  void accept(int32_t token);

 private:
  bool forcing() const;
  void allow_only(int32_t token);
  void forbid_ends();
  bool constrained() const { return constraint_ != nullptr && !constraint_waits_; }
  void allow_constraint();

  const Request* request_;
  int64_t prompt_tokens_;
  int64_t vocab_;
  std::vector<int32_t> ends_;
  std::vector<LogitBias> bias_;
  std::vector<TokenCount> counts_;                // of generated tokens, when a penalty needs them
  std::unordered_map<int32_t, size_t> count_of_;  // token -> index in counts_
  std::vector<uint32_t> allowed_;                 // see SampleParams
  int64_t generated_ = 0;
  bool thinking_ = false;  // a budget is set and the end token has not come
  size_t forced_ = 0;      // of the budget's close_tokens
  std::unique_ptr<TokenConstraint> constraint_;
  bool constraint_waits_ = false;  // for the request's after_token
};

}  // namespace cove::engine
