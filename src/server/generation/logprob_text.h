#pragma once
// Log probabilities as JSON text, in the chat form and in the old completions form.

#include <string>

#include "engine/api/engine.h"
#include "text/tokenizer/tokenizer.h"

namespace cove::server {

// {"token":"..","logprob":-0.1,"bytes":[..],"top_logprobs":[..]}, with a comma in front when `out` is not empty.
void append_chat_logprob(std::string& out, const engine::Logprob& logprob, const text::Tokenizer& tokenizer);

// The four parallel arrays of /v1/completions.
class CompletionLogprobs {
 public:
  explicit CompletionLogprobs(const text::Tokenizer& tokenizer) : tokenizer_(&tokenizer) {}
  void add(const engine::Logprob& logprob);
  bool empty() const { return tokens_.empty(); }
  // {"tokens":[..],"token_logprobs":[..],"top_logprobs":[..],"text_offset":[..]}; offsets go on counting after it.
  std::string take();

 private:
  const text::Tokenizer* tokenizer_;
  std::string tokens_, logprobs_, top_, offsets_;
  int64_t characters_ = 0;  // of the text so far
};

}  // namespace cove::server
