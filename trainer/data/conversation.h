#pragma once
// A sample as text and as tokens, exactly as models/cove-mini/chat_template.jinja renders it (conversation_test.cc
// compares the two), and as the JSON of a chat request.

#include <string>

#include <boost/json/object.hpp>

#include "loop/token_shards.h"
#include "tasks/sample.h"
#include "text/tokenizer/tokenizer.h"

namespace cove::trainer {

inline constexpr std::string_view kBos = "<｜begin▁of▁sentence｜>";
inline constexpr std::string_view kEos = "<｜end▁of▁sentence｜>";

// Everything up to and with "<think>\n".
std::string render_prompt(const Sample& sample);
// What the model should write after it, with the end token.
std::string render_completion(const Sample& sample);
// What follows "</think>\n\n": the answer, or the tool calls as text.
std::string render_answer(const Sample& sample);

// {"messages": [...], "tools": [...]} as a client would send it.
boost::json::object request_json(const Sample& sample);

// Prompt and completion; only the completion is to be predicted. Errors: those of the tokenizer.
Result<Document> tokenize(const Sample& sample, const text::Tokenizer& tokenizer);

}  // namespace cove::trainer
