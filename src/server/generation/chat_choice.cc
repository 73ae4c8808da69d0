#include "server/generation/chat_choice.h"

#include <algorithm>
#include <utility>

#include "server/generation/logprob_text.h"

namespace cove::server {

ChatChoice::ChatChoice(const text::Tokenizer& tokenizer, const ChatChoiceOptions& options)
    : tokenizer_(&tokenizer),
      options_(options),
      parser_(options.start),
      tool_parser_(options.parse_tool_calls ? text::ToolCallFormat::kAny : text::ToolCallFormat::kNone),
      thinking_(options.start == text::ReasoningStart::kInside) {}

void ChatChoice::add_pieces(const std::vector<text::ReasoningDelta>& deltas, std::vector<ChatPiece>& out) {
  for (const text::ReasoningDelta& delta : deltas) {
    if (!delta.reasoning.empty()) out.push_back({ChatPiece::Kind::kReasoning, delta.reasoning, {}});
    if (!delta.content.empty()) add_pieces(tool_parser_.push(delta.content), out);
  }
}

void ChatChoice::add_pieces(std::vector<text::ToolDelta> deltas, std::vector<ChatPiece>& out) {
  for (text::ToolDelta& delta : deltas) {
    if (!delta.content.empty()) out.push_back({ChatPiece::Kind::kContent, std::move(delta.content), {}});
    for (text::ToolCall& call : delta.calls) out.push_back({ChatPiece::Kind::kToolCall, {}, std::move(call)});
  }
}

// Tokens up to and with </think> are reasoning, and so are the line breaks after it that the answer does not show.
void ChatChoice::count_tokens(const engine::Output& output, bool was_thinking, bool content_came) {
  bool thinking = was_thinking;
  for (size_t i = 0; i < output.tokens.size(); ++i) {
    const bool closes = thinking && options_.think_close_token == output.tokens[i];
    const bool last = i + 1 == output.tokens.size();
    const bool is_reasoning = thinking || closes;
    if (closes || (last && !parser_.in_reasoning())) thinking = false;
    if (is_reasoning) ++reasoning_tokens_;
    if (i >= output.logprobs.size()) continue;
    const bool hidden =
        !is_reasoning && !content_begun_ && !content_came && options_.start == text::ReasoningStart::kInside;
    append_chat_logprob(is_reasoning || hidden ? logprobs_.reasoning : logprobs_.content, output.logprobs[i],
                        *tokenizer_);
  }
  thinking_ = parser_.in_reasoning();
}

std::vector<ChatPiece> ChatChoice::push(const engine::Output& output) {
  const bool was_thinking = thinking_;
  std::vector<ChatPiece> pieces;
  add_pieces(parser_.push(output.text), pieces);
  const bool content_came =
      std::ranges::any_of(pieces, [](const ChatPiece& p) { return p.kind != ChatPiece::Kind::kReasoning; });
  count_tokens(output, was_thinking, content_came);
  content_begun_ = content_begun_ || content_came;
  return pieces;
}

std::vector<ChatPiece> ChatChoice::finish() {
  std::vector<ChatPiece> pieces;
  add_pieces(parser_.finish(), pieces);
  add_pieces(tool_parser_.finish(), pieces);
  return pieces;
}

}  // namespace cove::server
