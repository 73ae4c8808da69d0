#pragma once
// One choice of a chat answer as it grows: splits the engine's text into reasoning, content and tool calls, and sorts
// tokens and log probabilities accordingly. Independent of how the answer is delivered, so that streamed and whole
// answers are equal.

#include <optional>
#include <string>
#include <vector>

#include "engine/api/engine.h"
#include "text/chat/reasoning_parser.h"
#include "text/chat/tool_call_parser.h"
#include "text/tokenizer/tokenizer.h"

namespace cove::server {

struct ChatPiece {
  enum class Kind : uint8_t { kReasoning, kContent, kToolCall };
  Kind kind = Kind::kContent;
  std::string text;     // kReasoning, kContent
  text::ToolCall call;  // kToolCall: whole calls only
};

// Entries of logprobs.content and logprobs.reasoning_content, comma-separated JSON.
struct LogprobLists {
  std::string content;
  std::string reasoning;
  bool empty() const { return content.empty() && reasoning.empty(); }
};

struct ChatChoiceOptions {
  text::ReasoningStart start = text::ReasoningStart::kOff;
  std::optional<int32_t> think_close_token;
  bool parse_tool_calls = false;
};

class ChatChoice {
 public:
  ChatChoice(const text::Tokenizer& tokenizer, const ChatChoiceOptions& options);

  std::vector<ChatPiece> push(const engine::Output& output);
  std::vector<ChatPiece> finish();

  // Since the last call.
  LogprobLists take_logprobs() { return std::exchange(logprobs_, {}); }
  int64_t reasoning_tokens() const { return reasoning_tokens_; }

 private:
  void add_pieces(const std::vector<text::ReasoningDelta>& deltas, std::vector<ChatPiece>& out);
  static void add_pieces(std::vector<text::ToolDelta> deltas, std::vector<ChatPiece>& out);
  void count_tokens(const engine::Output& output, bool was_thinking, bool content_came);

  const text::Tokenizer* tokenizer_;
  ChatChoiceOptions options_;
  text::ReasoningParser parser_;
  text::ToolCallParser tool_parser_;
  LogprobLists logprobs_;
  int64_t reasoning_tokens_ = 0;
  bool thinking_;  // by tokens: </think> has not come yet
  bool content_begun_ = false;
};

}  // namespace cove::server
