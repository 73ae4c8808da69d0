#pragma once
// From the constraint a request asks for to what the engine holds its tokens to.

#include <optional>

#include "engine/api/engine.h"
#include "server/dto/chat_request.h"
#include "server/served_model.h"

namespace cove::server {

// Nothing when the request asks for none. A forced tool call goes before response_format, which is about the content.
ApiResult<std::optional<engine::ConstraintStart>> chat_constraint(const ServedModel& model, const ChatRequest& request,
                                                                  text::ReasoningStart start);
ApiResult<std::optional<engine::ConstraintStart>> completion_constraint(const ServedModel& model,
                                                                        const ConstraintFields& fields);

}  // namespace cove::server
