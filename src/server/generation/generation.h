#pragma once
// Drives one request through the engine: submits its choices, carries their outputs from the engine's thread to the I/O
// thread, writes the answer, and cancels everything when the client goes away. Lives on the I/O thread, but for the
// sinks and, with plugins that may wait, for the Answer: that lives on a work queue then, one task at a time, so that
// the order stays.

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "engine/api/engine.h"
#include "server/dto/api_error.h"
#include "server/generation/answer.h"
#include "server/http/exchange.h"
#include "server/work_queue.h"

namespace cove::server {

// What the metrics and the access log want to know of a finished generation.
struct GenerationReport {
  AnswerUsage usage;
  double first_token_s = -1;  // since the request arrived; -1 = none came
  double per_token_s = -1;    // mean time of the later tokens
  double total_s = 0;
  enum class End : uint8_t { kComplete, kAborted, kFailed } end = End::kComplete;
  std::string finish_reason;
  plugins::PluginNotes plugin_notes;  // what plugins did, to the prompt and to the answer
  ShownTexts shown;                   // may have less than all choices
  std::string_view error{};           // kFailed: code of api/errors.def
};

struct GenerationStart {
  std::shared_ptr<http::Exchange> exchange;
  engine::Engine* engine = nullptr;
  std::vector<engine::Request> requests;
  std::unique_ptr<Answer> answer;
  size_t choices_per_prompt = 1;
  Delivery delivery = Delivery::kWhole;
  std::vector<http::Header> headers;  // of the answer
  std::chrono::steady_clock::time_point arrived;
  std::function<void(GenerationReport)> on_end;  // exactly once
  // Where the answer is made when plugins may wait; null = on the I/O thread.
  WorkQueue* answer_work = nullptr;
};

class Generation : public std::enable_shared_from_this<Generation> {
 public:
  // Submits and, for a stream, sends the head. When the engine refuses, answers with its error.
  static void start(GenerationStart start);
  explicit Generation(GenerationStart start) : start_(std::move(start)) {}

 private:
  class Sink;
  struct Event {
    size_t choice = 0;
    engine::Output output;
    std::optional<engine::Finish> finish;
    std::chrono::steady_clock::time_point time = std::chrono::steady_clock::now();  // on the engine's thread
  };

  // What the answer made of some events.
  struct Step {
    std::string bytes;
    std::vector<size_t> blocked;  // choices that need no more tokens
    std::optional<ApiError> failure;
    bool complete = false;
    AnswerUsage usage;
    plugins::PluginNotes plugin_notes;
    std::string finish_reason;
    ShownTexts shown;
  };

  bool submit_all();
  void deliver(Event event);  // any thread
  void drain();
  void note_time(const Event& event);
  Step make_step(std::vector<Event>& events);  // where the answer lives
  void handle(Event& event, Step& step);
  void start_work();
  void apply(Step& step);
  void abort();
  void fail(const ApiError& error);
  void end(GenerationReport::End end);
  void count_unfinished();

  GenerationStart start_;
  std::vector<engine::RequestId> ids_;
  size_t finished_ = 0;        // where the answer lives
  std::vector<bool> blocked_;  // by choice; where the answer lives
  std::vector<Event> unworked_;
  bool working_ = false;
  bool over_ = false;
  AnswerUsage usage_;  // as of the last step
  plugins::PluginNotes plugin_notes_;
  std::string finish_reason_;
  ShownTexts shown_;
  std::string_view error_;
  int64_t prompt_tokens_ = 0;     // of all requests, each prompt once
  int64_t generated_tokens_ = 0;  // as they came from the engine
  std::chrono::steady_clock::time_point first_output_{};
  std::chrono::steady_clock::time_point last_output_{};
  int64_t tokens_after_first_ = 0;

  std::mutex mutex_;  // guards the inbox
  std::vector<Event> inbox_;
  bool drain_posted_ = false;
};

// The error for a request that the engine did not take.
ApiError submit_error(const Error& error, engine::Health health);

}  // namespace cove::server
