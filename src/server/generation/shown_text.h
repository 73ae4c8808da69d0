#pragma once
// What an answer has shown its client, choice by choice, streamed or not: what the audit log keeps and a replay
// compares.

#include <cstdint>
#include <string>
#include <vector>

#include "text/chat/tool_call_parser.h"

namespace cove::server {

// Whether the texts are kept; finish reasons always are.
enum class KeepShown : uint8_t { kNo, kYes };

struct ShownText {
  std::string reasoning;
  std::string content;
  std::vector<text::ToolCall> calls;
  std::string finish_reason;  // empty: the choice did not come to its end
};
using ShownTexts = std::vector<ShownText>;  // by choice

// Adds what came later.
void append_shown(ShownTexts& to, ShownTexts&& more);

}  // namespace cove::server
