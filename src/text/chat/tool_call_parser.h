#pragma once
// Finds tool calls in an answer as it streams, for the formats of the supported models, and passes all other text on.
// Fed with the content that the ReasoningParser gives. The result does not depend on how the text was cut.
//
// A call is reported once it is complete and its arguments are a JSON object: nothing can be taken back from a client.
// What looks like a call but is none (broken JSON, no name, cut off) comes out as content, as it was written.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace cove::text {

enum class ToolCallFormat {
  kNone,
  // R1, R1-0528, V3: <｜tool▁call▁begin｜>function<｜tool▁sep｜>NAME\n```json\n{...}\n```<｜tool▁call▁end｜>
  // V3.1:            <｜tool▁call▁begin｜>NAME<｜tool▁sep｜>{...}<｜tool▁call▁end｜>
  // both between <｜tool▁calls▁begin｜> and <｜tool▁calls▁end｜>; what comes after the latter is dropped.
  kDeepSeek,
  // Qwen, Hermes: <tool_call>{"name": NAME, "arguments": {...}}</tool_call>
  kHermes,
  kAny,  // whichever comes
};

// The format that a chat template teaches its model, from the tags in its source.
ToolCallFormat detect_tool_call_format(std::string_view template_source);

struct ToolCall {
  int index = 0;  // 0, 1, ... in the answer
  std::string name;
  std::string arguments;  // JSON text of an object, as the model wrote it
};

// Either text or a call.
struct ToolDelta {
  std::string content;
  std::vector<ToolCall> calls;
};

class ToolCallParser {
 public:
  explicit ToolCallParser(ToolCallFormat format) : format_(format) {}
  std::vector<ToolDelta> push(std::string_view text);
  std::vector<ToolDelta> finish();
  int calls_found() const { return calls_found_; }

 private:
  enum class State {
    kText,
    kSection,  // after <｜tool▁calls▁begin｜> or a call: another call or the end
    kDeepSeekCall,
    kHermesCall,
    kAfterCalls,  // DeepSeek: the rest is dropped
  };
  enum class Progress { kGoOn, kWait };

  Progress step(std::vector<ToolDelta>& out);
  Progress step_text(std::vector<ToolDelta>& out);
  Progress step_section(std::vector<ToolDelta>& out);
  Progress step_call(std::vector<ToolDelta>& out);
  void complete_call(std::string_view body, std::string_view end_tag, std::vector<ToolDelta>& out);
  void add_content(std::string_view text, std::vector<ToolDelta>& out);

  ToolCallFormat format_;
  State state_ = State::kText;
  std::string held_;
  std::string tags_;   // tags read since the last text: they become text again when the call is malformed
  std::string space_;  // white space at the very beginning: dropped when a call follows
  bool seen_text_ = false;
  int calls_found_ = 0;
};

}  // namespace cove::text
