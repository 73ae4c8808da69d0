#include "chat_session.h"

#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <variant>

#include <boost/json/object.hpp>
#include <boost/json/string.hpp>

#include "base/check.h"
#include "base/utf8.h"
#include "text/chat/prompt_bos.h"

namespace cove::app {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds kInterruptCheck{50};

// Hands the engine's outputs to the thread that prints: the engine must not wait for a terminal.
class QueueSink final : public engine::TokenSink {
 public:
  using Item = std::variant<std::string, engine::Finish>;

  void on_output(const engine::Output& output) override { push(output.text); }
  void on_finish(const engine::Finish& finish) override { push(finish); }

  // The next item, or nothing within the time given.
  std::optional<Item> pop(std::chrono::milliseconds patience) {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, patience, [this] { return !items_.empty(); })) return std::nullopt;
    Item item = std::move(items_.front());
    items_.pop_front();
    return item;
  }

 private:
  void push(Item item) {
    {
      const std::lock_guard lock(mutex_);
      items_.push_back(std::move(item));
    }
    changed_.notify_one();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Item> items_;  // bounded by the context: one item a token
};

boost::json::object message(std::string_view role, std::string_view content) {
  return {{"role", role}, {"content", content}};
}

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

// Adds what the parser became sure of to the reply and shows it.
void deliver(const std::vector<text::ReasoningDelta>& deltas, ChatReply& reply, const ChatSession::OnDelta& on_delta) {
  for (const text::ReasoningDelta& delta : deltas) {
    reply.reasoning += delta.reasoning;
    reply.content += delta.content;
    on_delta(delta);
  }
}

}  // namespace

ChatSession::ChatSession(const OpenedModel& model, ChatOptions options) : model_(&model), options_(std::move(options)) {
  COVE_CHECK(model.chat_template != nullptr);
  forget();
}

void ChatSession::forget() {
  messages_.clear();
  if (!options_.system.empty()) messages_.push_back(message("system", options_.system));
}

Result<ChatReply> ChatSession::ask(std::string_view user_message, const OnDelta& on_delta,
                                   const std::atomic<bool>& interrupted) {
  if (const size_t bad = find_invalid_utf8(user_message); bad != std::string_view::npos) {
    return invalid_argument("the message is not UTF-8 at byte " + std::to_string(bad));
  }
  messages_.push_back(message("user", user_message));
  const Result<std::string> prompt = render();
  Result<ChatReply> reply = prompt ? generate(*prompt, on_delta, interrupted) : Result<ChatReply>(prompt.error());
  if (reply && reply->finish != engine::FinishReason::kCancelled) {
    messages_.push_back(message("assistant", reply->content));  // earlier reasoning is never shown to the model again
  } else {
    messages_.pop_back();
  }
  return reply;
}

Result<std::string> ChatSession::render() const {
  boost::json::object variables = {{"messages", messages_},
                                   {"add_generation_prompt", true},
                                   {"bos_token", model_->bos_token},
                                   {"eos_token", model_->eos_token}};
  if (options_.thinking == ChatOptions::Thinking::kOff) {
    variables["thinking"] = false;
    variables["enable_thinking"] = false;
  }
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  TRY_ASSIGN(std::string prompt,
             model_->chat_template->render(variables, std::chrono::duration_cast<std::chrono::seconds>(now).count()));
  return text::with_one_bos(std::move(prompt), model_->bos_token);
}

engine::Request ChatSession::request_for(std::vector<int32_t> prompt) const {
  engine::Request request;
  request.id = "chat-" + std::to_string(turn_);
  request.prompt = std::move(prompt);
  request.tokens_max = static_cast<int32_t>(options_.tokens_max);
  const SamplingDefaults& defaults = model_->defaults;
  request.sampling.temperature = static_cast<float>(options_.temperature.value_or(defaults.temperature));
  request.sampling.top_p = static_cast<float>(options_.top_p.value_or(defaults.top_p));
  request.sampling.top_k = static_cast<int32_t>(defaults.top_k);
  request.sampling.min_p = static_cast<float>(defaults.min_p);
  request.sampling.repetition_penalty = static_cast<float>(defaults.repetition_penalty);
  request.sampling.seed = options_.seed + turn_;
  return request;
}

Result<ChatReply> ChatSession::generate(const std::string& prompt, const OnDelta& on_delta,
                                        const std::atomic<bool>& interrupted) {
  TRY_ASSIGN(std::vector<int32_t> ids,
             model_->tokenizer->encode(prompt, {.parse_special = true, .add_special = false}));
  const auto sink = std::make_shared<QueueSink>();
  const auto begin = Clock::now();
  TRY_ASSIGN(const engine::RequestId id, model_->engine->submit(request_for(std::move(ids)), sink));
  ++turn_;
  text::ReasoningParser parser(text::reasoning_start(prompt));
  ChatReply reply;
  bool cancelled = false;
  while (true) {
    if (interrupted && !cancelled) {
      model_->engine->cancel(id);
      cancelled = true;
    }
    const auto item = sink->pop(kInterruptCheck);
    if (!item) continue;
    if (reply.seconds_to_first_token == 0) reply.seconds_to_first_token = seconds_since(begin);
    if (const auto* text = std::get_if<std::string>(&*item)) {
      deliver(parser.push(*text), reply, on_delta);
      continue;
    }
    deliver(parser.finish(), reply, on_delta);
    const auto& finish = std::get<engine::Finish>(*item);
    if (finish.reason == engine::FinishReason::kError) return finish.error;
    reply.finish = finish.reason;
    reply.usage = finish.usage;
    reply.seconds = seconds_since(begin);
    return reply;
  }
}

}  // namespace cove::app
