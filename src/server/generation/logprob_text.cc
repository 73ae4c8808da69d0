#include "server/generation/logprob_text.h"

#include <utility>

#include "base/json_text.h"
#include "base/utf8.h"

namespace cove::server {
namespace {

std::string token_text(const text::Tokenizer& tokenizer, int32_t token) {
  return replace_invalid_utf8(tokenizer.token_bytes(token));
}

void append_token(std::string& out, int32_t token, float logprob, const text::Tokenizer& tokenizer) {
  out += R"({"token":)";
  append_json_string(out, token_text(tokenizer, token));
  out += R"(,"logprob":)";
  append_json_number(out, static_cast<double>(logprob));
  out += R"(,"bytes":[)";
  bool first = true;
  for (const char byte : tokenizer.token_bytes(token)) {
    if (!std::exchange(first, false)) out += ",";
    append_json_number(out, static_cast<int64_t>(static_cast<unsigned char>(byte)));
  }
  out += "]";
}

void comma(std::string& out) {
  if (!out.empty()) out += ",";
}

}  // namespace

void append_chat_logprob(std::string& out, const engine::Logprob& logprob, const text::Tokenizer& tokenizer) {
  comma(out);
  append_token(out, logprob.token, logprob.logprob, tokenizer);
  out += R"(,"top_logprobs":[)";
  bool first = true;
  for (const auto& [token, value] : logprob.top) {
    if (!std::exchange(first, false)) out += ",";
    append_token(out, token, value, tokenizer);
    out += "}";
  }
  out += "]}";
}

void CompletionLogprobs::add(const engine::Logprob& logprob) {
  const std::string text = token_text(*tokenizer_, logprob.token);
  for (std::string* list : {&tokens_, &logprobs_, &top_, &offsets_}) comma(*list);
  append_json_string(tokens_, text);
  append_json_number(logprobs_, static_cast<double>(logprob.logprob));
  append_json_number(offsets_, characters_);
  top_ += "{";
  bool first = true;
  for (const auto& [token, value] : logprob.top) {
    if (!std::exchange(first, false)) top_ += ",";
    append_json_string(top_, token_text(*tokenizer_, token));
    top_ += ":";
    append_json_number(top_, static_cast<double>(value));
  }
  top_ += "}";
  for (size_t offset = 0; offset < text.size();) {
    next_code_point(text, offset);
    ++characters_;
  }
}

std::string CompletionLogprobs::take() {
  std::string out = R"({"tokens":[)" + std::exchange(tokens_, {});
  out += R"(],"token_logprobs":[)" + std::exchange(logprobs_, {});
  out += R"(],"top_logprobs":[)" + std::exchange(top_, {});
  out += R"(],"text_offset":[)" + std::exchange(offsets_, {}) + "]}";
  return out;
}

}  // namespace cove::server
