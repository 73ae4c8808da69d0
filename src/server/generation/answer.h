#pragma once
// What an endpoint makes of the engine's outputs: bytes of a stream, or one body at the end. Implemented by chat_answer
// and completion_answer; driven by generation.cc on the I/O thread.

#include <cstdint>
#include <optional>
#include <string>

#include "engine/api/engine.h"
#include "server/dto/api_error.h"
#include "server/generation/shown_text.h"
#include "services/plugins/notes.h"

namespace cove::server {

enum class Delivery : uint8_t { kWhole, kStream };

// Totals for usage, the metrics and the access log.
struct AnswerUsage {
  int64_t prompt_tokens = 0;
  int64_t cached_tokens = 0;
  int64_t completion_tokens = 0;
  int64_t reasoning_tokens = 0;
};

// The fields that every chunk and body carries.
struct AnswerIdentity {
  std::string id;  // "chatcmpl-..."
  int64_t created_s = 0;
  std::string model;
  std::string fingerprint;
};

class Answer {
 public:
  virtual ~Answer() = default;
  // Each returns the bytes to stream now; empty when the whole answer comes at the end.
  virtual std::string begin() = 0;
  virtual std::string on_output(size_t choice, const engine::Output& output) = 0;
  virtual std::string on_finish(size_t choice, const engine::Finish& finish) = 0;
  // All choices have finished: the stream's last bytes, or the body.
  virtual std::string end() = 0;
  virtual const AnswerUsage& usage() const = 0;
  // A plugin has ended this choice early: the engine need not go on with it.
  virtual bool blocked(size_t choice) const = 0;
  // Set when a plugin failed: the request ends with this error.
  virtual const std::optional<ApiError>& failure() const = 0;
  virtual const plugins::PluginNotes& plugin_notes() const = 0;
  // What has been shown since the last call; empty when nothing was.
  virtual ShownTexts take_shown() = 0;
};

// "usage":{...} with every detail that clients may read.
void append_usage(std::string& out, const AnswerUsage& usage);
std::string_view finish_name(engine::FinishReason reason);
// `{"id":"...","object":"...","created":1,"model":"...","system_fingerprint":"..."`
std::string answer_head(const AnswerIdentity& identity, std::string_view object);

inline constexpr std::string_view kBlockedFinish = "content_filter";
inline constexpr std::string_view kStreamDone = "data: [DONE]\n\n";

}  // namespace cove::server
