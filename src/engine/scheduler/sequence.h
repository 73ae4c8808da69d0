#pragma once
// One request on its way: its tokens, its pages, and what its sink still has to see. Engine thread only, from admission
// to finish.

#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "engine/api/engine.h"
#include "engine/kv/kv_pool.h"
#include "engine/output/output_stream.h"
#include "engine/output/token_rules.h"

namespace cove::engine {

struct Sequence {
  RequestId id = 0;  // ascending in order of arrival
  Request request;   // its prompt has moved to `tokens`
  std::shared_ptr<TokenSink> sink;

  std::vector<int32_t> tokens;  // prompt, then what was generated and is known
  int64_t prompt_tokens = 0;
  int64_t length_max = std::numeric_limits<int64_t>::max();  // of tokens: the answer's or the context's end
  int64_t computed = 0;  // positions [0, computed) have keys and values in `pages`, or get them from steps under way
  SequencePages pages;
  int32_t cached_tokens = 0;  // of the prompt, found in the prefix tree at first admission
  bool admitted_before = false;

  // Of steps that were submitted and have not ended; at most two.
  int32_t steps_under_way = 0;  // that it has a slice in
  int32_t drawing = 0;          // tokens that they draw for it: the positions behind `tokens`
  int32_t drawn_row = 0;        // in the youngest of them
  bool finished = false;        // its sink knows; it is kept until the last of them has ended

  TokenRules rules;     // what may be drawn next
  OutputStream output;  // tokens to text

  Sequence(RequestId sequence_id, Request wanted, std::shared_ptr<TokenSink> to, const text::Tokenizer& tokenizer,
           const TokenRulesContext& context)
      : id(sequence_id),
        request(std::move(wanted)),
        sink(std::move(to)),
        tokens(std::move(request.prompt)),
        prompt_tokens(static_cast<int64_t>(tokens.size())),
        rules(request, prompt_tokens, context),
        output(tokenizer, request.stop) {}
  Sequence(const Sequence&) = delete;  // rules and sampling parameters point into request and tokens
  Sequence& operator=(const Sequence&) = delete;

  int64_t length() const { return static_cast<int64_t>(tokens.size()); }
  int64_t length_ahead() const { return length() + drawing; }
  int64_t remaining() const { return length_ahead() - computed; }  // to compute; 1 = decoding
  int64_t generated() const { return length() - prompt_tokens; }
};

}  // namespace cove::engine
