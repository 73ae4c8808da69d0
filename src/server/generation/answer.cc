#include "server/generation/answer.h"

#include "base/json_text.h"

namespace cove::server {

void append_usage(std::string& out, const AnswerUsage& usage) {
  const auto field = [&out](std::string_view name, int64_t value) {
    out += name;
    append_json_number(out, value);
  };
  field(R"("usage":{"prompt_tokens":)", usage.prompt_tokens);
  field(R"(,"completion_tokens":)", usage.completion_tokens);
  field(R"(,"total_tokens":)", usage.prompt_tokens + usage.completion_tokens);
  field(R"(,"prompt_tokens_details":{"cached_tokens":)", usage.cached_tokens);
  field(R"(},"completion_tokens_details":{"reasoning_tokens":)", usage.reasoning_tokens);
  field(R"(},"prompt_cache_hit_tokens":)", usage.cached_tokens);
  field(R"(,"prompt_cache_miss_tokens":)", usage.prompt_tokens - usage.cached_tokens);
  out += "}";
}

std::string_view finish_name(engine::FinishReason reason) {
  return reason == engine::FinishReason::kLength ? "length" : "stop";
}

std::string answer_head(const AnswerIdentity& identity, std::string_view object) {
  std::string out = R"({"id":)";
  append_json_string(out, identity.id);
  out += R"(,"object":)";
  append_json_string(out, object);
  out += R"(,"created":)";
  append_json_number(out, identity.created_s);
  out += R"(,"model":)";
  append_json_string(out, identity.model);
  out += R"(,"system_fingerprint":)";
  append_json_string(out, identity.fingerprint);
  return out;
}

}  // namespace cove::server
