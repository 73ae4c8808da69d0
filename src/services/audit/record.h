#pragma once
// One audited API call: who, when, from where, what was asked of which model with which parameters, and how it ended.
// Filled by the gateway, written by audit::Log, read back by `cove audit`. docs/formats/audit.md names every field as
// it stands in the file.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/api/engine.h"
#include "services/plugins/notes.h"

namespace cove::audit {

// What is kept of prompts and answers: the text, a keyed hash of it (HMAC-SHA256: equal texts can be recognised with
// the key, nothing can be read), or nothing.
enum class PromptForm : uint8_t { kNone, kHash, kFull };
std::string_view to_string(PromptForm form);
Result<PromptForm> parse_prompt_form(std::string_view text);  // "none", "hash", "full"

enum class Outcome : uint8_t {
  kComplete,  // answered as asked; for a call without generation, any status below 400
  kAborted,   // the client went away before the end
  kFailed,    // accepted, then an error of ours: `error` says which
  kRefused,   // not accepted: `error` says why
};
std::string_view to_string(Outcome outcome);

// As the request proved it; all empty when it proved nothing.
struct Caller {
  std::string id{};    // auth::Identity::id: "key:12", "user:alice", "jwt:<issuer>|<sub>", "anonymous"
  std::string user{};  // whose key it is, "user:alice"; empty = the id itself says
  std::string name{};  // for people
  std::string role{};
  int64_t key_id = 0;  // 0 = no API key
};

struct Model {
  std::string name{};
  std::string digest{};   // engine::ModelInfo::digest: names, sizes and headers of its files
  std::string device{};   // engine::ModelInfo::device: another one may round differently
  std::string weights{};  // digest of all bytes of the weights; empty = not known (yet)
};

// What a client was sent of one choice, or would have been had it stayed. Texts are the concatenation of the deltas.
struct AnswerText {
  std::string reasoning{};
  std::string content{};
  std::string tool_calls{};  // JSON array as in the answer; empty = none
};

// Parameters as the engine used them: the client's, or the defaults that stood in for them.
struct Parameters {
  engine::SamplingOptions sampling{};  // its seed is the first choice's
  std::vector<uint64_t> seeds{};       // one a choice, as used, also when the client gave none
  int32_t choices = 1;                 // n
  int32_t tokens_max = 0;
  int32_t tokens_min = 0;
  std::vector<std::string> stop{};
  std::vector<int32_t> stop_tokens{};
  bool ignore_eos = false;
  int32_t thinking_budget = -1;      // tokens; -1 = none
  std::vector<std::string> tools{};  // names of those that were offered
  std::string tool_choice{};         // "auto", "none", "required", "function:NAME"; empty = no tools
  std::string constraint{};          // JSON of what bounds the answer (response_format, forced tool, ...); empty = none
};

// What only calls that reached the engine have.
struct Generation {
  Model model{};
  bool stream = false;
  Parameters parameters{};
  int64_t prompt_tokens = 0;
  int64_t cached_tokens = 0;  // of the prompt
  int64_t completion_tokens = 0;
  int64_t reasoning_tokens = 0;  // of the completion
  std::vector<std::string>
      finish_reasons{};        // one a choice: "stop", "length", "tool_calls", "content_filter", "cancelled", "error"
  double first_token_ms = -1;  // since the request arrived; -1 = none came
  // Texts: the log keeps of them what the caller's role says (LogOptions). Where that is PromptForm::kNone they need
  // not be filled.
  std::string prompt{};               // as rendered for the model; several prompts are joined by U+001E
  std::vector<AnswerText> answers{};  // one a choice
  // The request body after plugins, canonical JSON: all that is needed to run it again. Kept with kFull only; with
  // kHash its keyed hash is.
  std::string request{};
};

struct Record {
  int64_t time_ns = 0;  // when the request arrived, since 1970, UTC; 0 = when it is appended
  std::string request_id{};
  Caller caller{};
  std::string address{};  // the client's, without port
  std::string method{};
  std::string route{};  // "/v1/models/{id}"; empty = there is none for the path
  std::string path{};   // as requested, without the query
  int status = 0;       // 0 = no head was sent
  Outcome outcome = Outcome::kComplete;
  std::string error{};  // error code of the API, "rate_limit_exceeded"; empty = none
  double total_ms = 0;  // from arrival to the last byte
  std::optional<Generation> generation{};
  plugins::PluginNotes plugin_notes{};
  // What an administrator changed and the like, for calls whose route and status do not say it all: "user" = "alice".
  // Never secrets.
  std::map<std::string, std::string> details{};
};

}  // namespace cove::audit
