#pragma once
// A scripted engine for the server's tests: what a request's prompt says is what comes out. Header only; tests alone
// include it.
//   "say:TEXT"      TEXT, one byte a token, then stop        "forever"     one token a step until cancelled or
//   tokens_max "silent"        nothing until cancelled                  "fail"        one token, then an error
// The tokenizer maps bytes to ids 0..255 and "</think>" to 256.

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <thread>

#include "engine/api/engine.h"
#include "text/chat/chat_template.h"
#include "text/tokenizer/tokenizer.h"

namespace cove::server::testing {

inline constexpr int32_t kThinkClose = 256;

class ByteTokenizer final : public text::Tokenizer {
 public:
  ByteTokenizer() {
    for (int i = 0; i < 256; ++i) bytes_.push_back(static_cast<char>(i));
  }
  Result<std::vector<int32_t>> encode(std::string_view text, const text::EncodeOptions&) const override {
    std::vector<int32_t> ids;
    for (size_t i = 0; i < text.size(); ++i) {
      if (text.substr(i).starts_with("</think>")) {
        ids.push_back(kThinkClose);
        i += 7;
      } else {
        ids.push_back(static_cast<unsigned char>(text[i]));
      }
    }
    return ids;
  }
  std::string_view token_bytes(int32_t id) const override {
    if (id == kThinkClose) return "</think>";
    return id >= 0 && id < 256 ? std::string_view(bytes_).substr(static_cast<size_t>(id), 1) : std::string_view();
  }
  bool is_control(int32_t) const override { return false; }
  std::optional<int32_t> find_token(std::string_view text) const override {
    return text == "</think>" ? std::optional(kThinkClose) : std::nullopt;
  }
  int32_t vocab_size() const override { return 257; }
  std::optional<int32_t> bos_id() const override { return std::nullopt; }
  std::optional<int32_t> eos_id() const override { return std::nullopt; }

 private:
  std::string bytes_;
};

// "role:content" of every message, one after the other; opens <think> when `think` is set. Refuses the role order
// "system" last.
class PlainTemplate final : public text::ChatTemplate {
 public:
  Result<std::string> render(const json::object& variables, int64_t) const override {
    std::string out;
    for (const json::value& message : variables.at("messages").as_array()) {
      const json::value& content = message.at("content");
      if (content.is_string() && content.get_string() == "refuse me") return invalid_argument("raise_exception: no");
      out += "[" + std::string(message.at("role").as_string()) + "]";
      if (content.is_string()) out += std::string(content.get_string());
    }
    const json::value* thinking = variables.if_contains("thinking");
    if (thinking != nullptr && thinking->is_bool() && thinking->get_bool()) out += "<think>\n";
    return out;
  }
};

class FakeEngine final : public engine::Engine {
 public:
  explicit FakeEngine(std::chrono::microseconds step = std::chrono::microseconds(200)) : step_(step) {
    info_.name = "fake";
    info_.family = "fake";
    info_.digest = "0123456789abcdef0123456789abcdef";
    info_.device = "cpu: fake";
    info_.weight_format = "f32";
    info_.parameters = 1;
    info_.context_max = 1000;
    info_.vocab = 257;
    thread_ = std::thread([this] { loop(); });
  }
  ~FakeEngine() override {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    wake_.notify_all();
    thread_.join();
  }

  Result<engine::RequestId> submit(engine::Request request, std::shared_ptr<engine::TokenSink> sink) override {
    const std::lock_guard lock(mutex_);
    if (health_ == engine::Health::kFailed) return Error{ErrorCode::kUnavailable, "the engine has failed"};
    if (health_ == engine::Health::kDraining) return Error{ErrorCode::kUnavailable, "draining"};
    if (live_.size() >= queue_max) return Error{ErrorCode::kResourceExhausted, "the queue is full"};
    const engine::RequestId id = ++last_id_;
    Live live;
    live.sink = std::move(sink);
    std::string prompt;
    for (const int32_t token : request.prompt) prompt += tokenizer_.token_bytes(token);
    live.script = prompt.find("say:") == std::string::npos ? prompt : prompt.substr(prompt.rfind("say:"));
    if (const size_t tail = live.script.find("<think>\n"); tail != std::string::npos) live.script.resize(tail);
    live.request = std::move(request);
    live.detokenizer = std::make_unique<text::StreamingDetokenizer>(tokenizer_);
    last_request_ = live.request;
    live_.emplace(id, std::move(live));
    wake_.notify_all();
    return id;
  }
  void cancel(engine::RequestId id) override {
    const std::lock_guard lock(mutex_);
    if (const auto found = live_.find(id); found != live_.end()) found->second.cancelled = true;
    wake_.notify_all();
  }
  const engine::ModelInfo& model() const override { return info_; }
  engine::Stats stats() const override {
    const std::lock_guard lock(mutex_);
    engine::Stats stats;
    stats.requests_running = static_cast<int64_t>(live_.size());
    stats.pages_total = 100;
    stats.pages_used = static_cast<int64_t>(live_.size());
    stats.cancelled = cancelled_;
    return stats;
  }
  engine::Health health() const override {
    const std::lock_guard lock(mutex_);
    return health_;
  }
  void drain() override {
    const std::lock_guard lock(mutex_);
    health_ = engine::Health::kDraining;
  }
  // Every request ends with an error, and none begins.
  void fail_device() {
    const std::lock_guard lock(mutex_);
    health_ = engine::Health::kFailed;
    wake_.notify_all();
  }
  bool idle() const override { return live() == 0; }
  size_t live() const {
    const std::lock_guard lock(mutex_);
    return live_.size();
  }
  const ByteTokenizer& tokenizer() const { return tokenizer_; }

  engine::Request last_request() const {
    const std::lock_guard lock(mutex_);
    return last_request_;
  }

  std::atomic<size_t> queue_max = 100'000;

 private:
  struct Live {
    std::shared_ptr<engine::TokenSink> sink;
    engine::Request request;
    std::string script;
    size_t done = 0;  // tokens given
    bool cancelled = false;
    std::unique_ptr<text::StreamingDetokenizer> detokenizer;
  };

  // One token for every live request a step, as continuous batching does. Callbacks run without the lock, as in the
  // real engine.
  void loop() {
    std::unique_lock lock(mutex_);
    while (!stop_) {
      if (live_.empty()) {
        wake_.wait(lock);
        continue;
      }
      std::vector<engine::RequestId> ids;
      for (const auto& [id, live] : live_) ids.push_back(id);
      for (const engine::RequestId id : ids) {
        Live& live = live_.at(id);
        if (!step(lock, live)) live_.erase(id);
      }
      lock.unlock();
      std::this_thread::sleep_for(step_);
      lock.lock();
    }
  }

  bool finish(std::unique_lock<std::mutex>& lock, Live& live, engine::FinishReason reason) {
    engine::Finish finish;
    finish.reason = reason;
    finish.usage.prompt_tokens = static_cast<int32_t>(live.request.prompt.size());
    finish.usage.completion_tokens = static_cast<int32_t>(live.done);
    if (reason == engine::FinishReason::kError) finish.error = {ErrorCode::kInternal, "the device failed"};
    if (reason == engine::FinishReason::kCancelled) ++cancelled_;
    const auto sink = std::move(live.sink);
    lock.unlock();
    sink->on_finish(finish);
    lock.lock();
    return false;
  }

  bool step(std::unique_lock<std::mutex>& lock, Live& live) {
    if (live.cancelled) return finish(lock, live, engine::FinishReason::kCancelled);
    if (health_ == engine::Health::kFailed) return finish(lock, live, engine::FinishReason::kError);
    if (live.script.ends_with("silent")) return true;
    if (live.request.tokens_max > 0 && live.done >= static_cast<size_t>(live.request.tokens_max)) {
      return finish(lock, live, engine::FinishReason::kLength);
    }
    const bool says = live.script.starts_with("say:");
    if (live.script.ends_with("fail") && live.done == 1) return finish(lock, live, engine::FinishReason::kError);
    if (says && live.done == script_tokens(live).size()) return finish(lock, live, engine::FinishReason::kStop);
    engine::Output output;
    const int32_t token = says ? script_tokens(live)[live.done] : 'x';
    output.tokens.push_back(token);
    output.text = live.detokenizer->push(token);
    if (live.request.sampling.top_logprobs >= 0) {
      output.logprobs.push_back({token, -0.5F, {}});
      for (int i = 0; i < live.request.sampling.top_logprobs; ++i)
        output.logprobs[0].top.emplace_back('a' + i, -0.5F - static_cast<float>(i));
    }
    ++live.done;
    const auto sink = live.sink;
    lock.unlock();
    sink->on_output(output);
    lock.lock();
    return true;
  }

  std::vector<int32_t> script_tokens(const Live& live) const {
    return *tokenizer_.encode(std::string_view(live.script).substr(4), {});
  }

  std::chrono::microseconds step_;
  ByteTokenizer tokenizer_;
  engine::ModelInfo info_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::map<engine::RequestId, Live> live_;
  engine::Request last_request_;
  engine::RequestId last_id_ = 0;
  uint64_t cancelled_ = 0;
  engine::Health health_ = engine::Health::kReady;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace cove::server::testing
