#pragma once
// The model that a server serves: borrowed parts and what was found out about them. Made by serve_model() once loading
// is done.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/api/engine.h"
#include "text/chat/chat_template.h"
#include "text/chat/reasoning_parser.h"
#include "text/chat/tool_call_parser.h"
#include "text/grammar/json_schema.h"
#include "text/grammar/token_masks.h"
#include "text/tokenizer/tokenizer.h"

namespace cove::server {

// From generation_config.json; what is missing there is what R1's model card recommends.
struct SamplingDefaults {
  double temperature = 0.6;
  double top_p = 0.95;
  int64_t top_k = 0;
  double min_p = 0;
  double repetition_penalty = 1;
};

// How a template wants a tool call's arguments: DeepSeek's concatenate text, Qwen's serialise an object.
enum class ToolArguments : uint8_t { kText, kObject };

struct ServedModelParts {
  engine::Engine* engine = nullptr;
  const text::Tokenizer* tokenizer = nullptr;
  const text::ChatTemplate* chat_template = nullptr;  // may be null: then only /v1/completions works
  std::string name;                                   // what clients call it
  std::vector<std::string> aliases;                   // also accepted
  SamplingDefaults defaults;
  std::string bos_token;  // texts, for the template
  std::string eos_token;
  std::string weights_digest{};  // of all bytes, for the audit log; empty = not known (yet)
};

struct ServedModel : ServedModelParts {
  int64_t created_s = 0;
  ToolArguments tool_arguments = ToolArguments::kText;
  text::ToolCallFormat tool_calls = text::ToolCallFormat::kNone;  // how its template writes them
  text::grammar::DeepSeekCalls deepseek_calls = text::grammar::DeepSeekCalls::kFenced;
  std::shared_ptr<const text::grammar::SortedVocabulary> vocabulary;
  size_t token_bytes_max = 0;                // of the vocabulary's longest token
  std::string fingerprint;                   // "fp_" and the beginning of the digest
  std::optional<int32_t> think_close_token;  // </think>, when it is one token
  std::vector<int32_t> think_close_tokens;   // what ends thinking early: "\n</think>\n\n"
  std::vector<int32_t> no_thinking_tokens;   // what ends it before it began: "</think>\n\n"

  bool answers_to(const std::string& model_name) const;
};

std::shared_ptr<const ServedModel> serve_model(ServedModelParts parts, int64_t now_s);

}  // namespace cove::server
