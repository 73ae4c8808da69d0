#pragma once
// What the audit log keeps of a generation: filled in two parts, when it is planned and when it has ended.

#include <string>
#include <string_view>

#include "server/dto/chat_request.h"
#include "server/dto/completion_request.h"
#include "server/generation/generation.h"
#include "server/generation/plan.h"
#include "server/generation/prepare.h"
#include "services/audit/record.h"

namespace cove::server {

// Model, parameters and, with input.keep, prompt and request (`body`) into *input.audited.
void note_plan(const PlanInput& input, const ChatRequest& request, const Prepared& prepared, std::string_view body);
void note_plan(const PlanInput& input, const CompletionRequest& request, const Prepared& prepared,
               std::string_view body);
// The body as it would have had to be for plugins to change nothing.
std::string filtered_body(std::string_view body, const ChatRequest& request);
std::string filtered_body(std::string_view body, const CompletionRequest& request);

// Counts, finish reasons and, with `keep`, what was shown.
void note_end(GenerationReport report, KeepShown keep, audit::Generation& audited);
// As the log has it: [{"name","arguments"}], without the random ids; empty when there are none.
std::string tool_calls_text(const std::vector<text::ToolCall>& calls);

}  // namespace cove::server
