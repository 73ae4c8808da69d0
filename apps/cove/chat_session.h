#pragma once
// A conversation with an engine in this process: messages in, streamed reasoning and answer out. Used by `cove chat`;
// knows no terminal.

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include <boost/json/array.hpp>

#include "base/result.h"
#include "open_engine.h"
#include "text/chat/reasoning_parser.h"

namespace cove::app {

struct ChatOptions {
  std::string system;                 // system message; empty = none
  std::optional<double> temperature;  // unset: the model's
  std::optional<double> top_p;
  uint64_t seed = 0;
  int64_t tokens_max = 0;  // 0 = to the end of the context
  enum class Thinking : uint8_t { kModelDecides, kOff };
  Thinking thinking = Thinking::kModelDecides;
};

struct ChatReply {
  std::string reasoning;
  std::string content;
  engine::Usage usage;
  engine::FinishReason finish = engine::FinishReason::kStop;
  double seconds_to_first_token = 0;
  double seconds = 0;  // from submission to the end
};

class ChatSession {
 public:
  // `model` outlives the session and has a chat template.
  ChatSession(const OpenedModel& model, ChatOptions options);

  // Called with each piece as it comes; at most one of the two texts is not empty.
  using OnDelta = std::function<void(const text::ReasoningDelta&)>;
  // One turn. When `interrupted` becomes true the answer ends early with kCancelled; it is then no part of the
  // conversation. Errors: kInvalidArgument (not UTF-8, too long, refused by the template), kUnavailable.
  Result<ChatReply> ask(std::string_view user_message, const OnDelta& on_delta, const std::atomic<bool>& interrupted);
  void forget();

 private:
  Result<std::string> render() const;
  engine::Request request_for(std::vector<int32_t> prompt) const;
  Result<ChatReply> generate(const std::string& prompt, const OnDelta& on_delta, const std::atomic<bool>& interrupted);

  const OpenedModel* model_;
  ChatOptions options_;
  boost::json::array messages_;
  uint64_t turn_ = 0;
};

}  // namespace cove::app
