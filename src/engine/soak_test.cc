// Many clients at once, random cancels, few pages: every request is answered exactly once and every page comes back.
// Short by default; COVE_SOAK_SECONDS sets the length (two minutes: COVE_SOAK_SECONDS=120).
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <random>
#include <thread>

#include <gtest/gtest.h>

#include "base/utf8.h"
#include "engine/testing/engine_fixture.h"
#include "engine/testing/queued_backend.h"

namespace cove::engine {
namespace {

using Clock = std::chrono::steady_clock;
using testing::Answer;
using testing::CollectingSink;

constexpr int kClients = 32;

std::chrono::seconds soak_time() {
  const char* seconds = std::getenv("COVE_SOAK_SECONDS");
  return std::chrono::seconds(seconds != nullptr ? std::max(1, std::atoi(seconds)) : 3);
}

struct Tally {
  std::atomic<int64_t> submitted = 0;
  std::atomic<int64_t> refused = 0;  // queue full
  std::atomic<int64_t> finished = 0;
  std::atomic<int64_t> cancelled = 0;
};

Request random_request(std::mt19937& random) {
  Request request;
  request.tenant = std::to_string(random() % 3);
  const size_t shared = random() % 3 * 20;  // some prompts begin alike
  request.prompt.assign(shared, 's');
  for (size_t i = 0; i <= random() % 80; ++i) request.prompt.push_back(static_cast<int32_t>(random() % 256));
  request.tokens_max = static_cast<int32_t>(1 + random() % 130);
  request.sampling.temperature = random() % 2 == 0 ? 0.0F : 1.0F;
  request.sampling.top_p = 0.9F;
  request.sampling.seed = random();
  request.sampling.top_logprobs = random() % 4 == 0 ? 2 : -1;
  if (random() % 3 == 0) request.stop = {"a", "xyz"};
  return request;
}

void be_a_client(Engine& engine, uint32_t seed, Clock::time_point end, Tally& tally) {
  std::mt19937 random(seed);
  while (Clock::now() < end) {
    const auto sink = std::make_shared<CollectingSink>();
    const auto id = engine.submit(random_request(random), sink);
    if (!id) {
      ASSERT_EQ(id.error().code, ErrorCode::kResourceExhausted) << id.error().message;
      ++tally.refused;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      continue;
    }
    ++tally.submitted;
    const uint32_t fate = random() % 10;
    if (fate < 2) engine.cancel(*id);
    if (fate >= 2 && fate < 5) {
      sink->wait_for_tokens(1 + random() % 20);
      engine.cancel(*id);
    }
    const Answer answer = sink->wait();
    ASSERT_EQ(answer.finishes, 1);
    ASSERT_NE(answer.finish.reason, FinishReason::kError) << answer.finish.error.message;
    ASSERT_TRUE(is_valid_utf8(answer.text));
    ++tally.finished;
    if (answer.finish.reason == FinishReason::kCancelled) ++tally.cancelled;
  }
}

void soak(std::unique_ptr<Backend> backend) {
  const auto engine =
      testing::engine_of(testing::tiny_language_model(256),
                         {.sequences_max = 12, .queue_max = 16, .kv_tokens_max = 384}, std::move(backend));
  Tally tally;
  const auto end = Clock::now() + soak_time();
  std::vector<std::thread> clients;
  clients.reserve(kClients);
  for (uint32_t i = 0; i < kClients; ++i) {
    clients.emplace_back([&, i] { be_a_client(*engine, i + 1, end, tally); });
  }
  for (std::thread& client : clients) client.join();

  EXPECT_TRUE(testing::wait_until([&] { return engine->stats().pages_used == 0; }));
  const Stats stats = engine->stats();
  EXPECT_EQ(tally.submitted, tally.finished);
  EXPECT_GT(tally.finished, kClients);
  EXPECT_GT(tally.cancelled, 0);
  EXPECT_GT(stats.preemptions, 0U);
  EXPECT_EQ(stats.requests_running, 0);
  EXPECT_EQ(stats.requests_waiting, 0);
  EXPECT_EQ(engine->health(), Health::kReady);
  std::printf("soak: %ld answered, %ld cancelled, %ld refused, %lu preemptions, %lu steps\n", tally.finished.load(),
              tally.cancelled.load(), tally.refused.load(), stats.preemptions, stats.steps);
}

TEST(EngineSoak, many_clients_with_random_cancels_lose_no_answer_and_no_page) { soak(make_reference_backend()); }
TEST(EngineSoak, nor_when_steps_overlap) { soak(std::make_unique<testing::QueuedBackend>(make_reference_backend())); }

}  // namespace
}  // namespace cove::engine
