#pragma once
// A model's whole output, as it streams, into the three things an API answers with: reasoning, content and tool calls.
// Reasoning is split off first; tool calls are looked for in the answer alone.

#include <string>
#include <string_view>
#include <vector>

#include "text/chat/reasoning_parser.h"
#include "text/chat/tool_call_parser.h"

namespace cove::text {

// Exactly one of the three is set.
struct OutputDelta {
  std::string reasoning;
  std::string content;
  std::vector<ToolCall> calls;
};

class OutputParser {
 public:
  OutputParser(ReasoningStart start, ToolCallFormat tools) : reasoning_(start), tools_(tools) {}

  std::vector<OutputDelta> push(std::string_view text) { return split(reasoning_.push(text)); }
  std::vector<OutputDelta> finish() {
    std::vector<OutputDelta> out = split(reasoning_.finish());
    append(tools_.finish(), out);
    return out;
  }
  bool in_reasoning() const { return reasoning_.in_reasoning(); }
  int calls_found() const { return tools_.calls_found(); }

 private:
  std::vector<OutputDelta> split(std::vector<ReasoningDelta> deltas) {
    std::vector<OutputDelta> out;
    for (ReasoningDelta& delta : deltas) {
      if (!delta.reasoning.empty())
        out.push_back({.reasoning = std::move(delta.reasoning), .content = {}, .calls = {}});
      if (!delta.content.empty()) append(tools_.push(delta.content), out);
    }
    return out;
  }
  static void append(std::vector<ToolDelta> deltas, std::vector<OutputDelta>& out) {
    for (ToolDelta& delta : deltas) {
      out.push_back({.reasoning = {}, .content = std::move(delta.content), .calls = std::move(delta.calls)});
    }
  }

  ReasoningParser reasoning_;
  ToolCallParser tools_;
};

}  // namespace cove::text
