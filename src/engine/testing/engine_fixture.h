#pragma once
// Engines over tiny random models, and a sink that remembers everything. Header only; included by *_test.cc alone.

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "base/log.h"
#include "engine/make_engine.h"
#include "engine/testing/byte_tokenizer.h"
#include "engine/testing/hooked_backend.h"
#include "model/testing/tiny_model.h"

namespace cove::testing {

constexpr std::chrono::seconds kPatience{120};  // no test waits longer for one request

inline const bool kQuiet = (log::configure(log::Level::kWarn, log::Style::kText), true);  // no line per engine made

struct Answer {
  std::string text;
  std::vector<int32_t> tokens;
  std::vector<engine::Logprob> logprobs;
  std::vector<std::string> pieces;
  engine::Finish finish;
  int finishes = 0;
};

class CollectingSink final : public engine::TokenSink {
 public:
  void on_output(const engine::Output& output) override {
    const std::lock_guard lock(mutex_);
    EXPECT_EQ(answer_.finishes, 0) << "output after finish";
    answer_.text += output.text;
    answer_.pieces.push_back(output.text);
    answer_.tokens.insert(answer_.tokens.end(), output.tokens.begin(), output.tokens.end());
    answer_.logprobs.insert(answer_.logprobs.end(), output.logprobs.begin(), output.logprobs.end());
    changed_.notify_all();
  }
  void on_finish(const engine::Finish& finish) override {
    const std::lock_guard lock(mutex_);
    answer_.finish = finish;
    ++answer_.finishes;
    changed_.notify_all();
  }
  // Waits for the end; fails the test when it does not come.
  Answer wait() {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, kPatience, [this] { return answer_.finishes > 0; })) << "no finish came";
    return answer_;
  }
  void wait_for_tokens(size_t count) {
    std::unique_lock lock(mutex_);
    const auto enough = [&] { return answer_.tokens.size() >= count || answer_.finishes > 0; };
    EXPECT_TRUE(changed_.wait_for(lock, kPatience, enough));
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  Answer answer_;
};

inline std::shared_ptr<TinyModel> tiny_language_model(int64_t context = 512) {
  return std::make_shared<TinyModel>(TinyShape{.vocab = ByteTokenizer::kVocab, .context = context});
}

inline Result<std::unique_ptr<engine::Engine>> try_engine(const std::shared_ptr<TinyModel>& model,
                                                          const engine::EngineOptions& options,
                                                          std::unique_ptr<Backend> backend = make_reference_backend()) {
  engine::ModelParts parts;
  parts.spec = model->spec();
  parts.tensors = model->lookup();
  parts.tokenizer = std::make_shared<ByteTokenizer>();
  parts.eos_ids = {ByteTokenizer::kEnd};
  parts.info.name = "tiny";
  parts.files = model;
  return engine::make_engine(std::move(parts), std::move(backend), options);
}

inline std::unique_ptr<engine::Engine> engine_of(const std::shared_ptr<TinyModel>& model,
                                                 const engine::EngineOptions& options = {},
                                                 std::unique_ptr<Backend> backend = make_reference_backend()) {
  auto made = try_engine(model, options, std::move(backend));
  EXPECT_TRUE(made) << made.error().message;
  return std::move(*made);
}

inline std::vector<int32_t> bytes_of(const std::string& text) {
  std::vector<int32_t> ids;
  for (const char c : text) ids.push_back(static_cast<uint8_t>(c));
  return ids;
}

inline engine::Request greedy(const std::string& prompt, int32_t tokens_max) {
  engine::Request request;
  request.prompt = bytes_of(prompt);
  request.tokens_max = tokens_max;
  request.sampling.temperature = 0;
  request.ignore_eos = true;
  return request;
}

inline void expect_empty(const engine::Engine& engine) {
  const engine::Stats stats = engine.stats();
  EXPECT_EQ(stats.pages_used, 0);
  EXPECT_EQ(stats.requests_running, 0);
  EXPECT_EQ(stats.requests_waiting, 0);
}

inline bool wait_until(const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

inline Answer ask(engine::Engine& engine, engine::Request request) {
  const auto sink = std::make_shared<CollectingSink>();
  const auto id = engine.submit(std::move(request), sink);
  if (!id) {
    ADD_FAILURE() << id.error().message;
    return {};
  }
  return sink->wait();
}

}  // namespace cove::testing
