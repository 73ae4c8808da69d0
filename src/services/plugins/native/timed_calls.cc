#include "services/plugins/native/timed_calls.h"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include <fmt/format.h>

namespace cove::plugins {
namespace {

constexpr size_t kWaitingMax = 1024;
constexpr std::chrono::seconds kGoodbye{2};

struct Job {
  std::function<void()> call;
  bool abandoned = false;
  bool done = false;
};

}  // namespace

struct TimedCalls::State {
  std::mutex mutex;  // guards everything below
  std::condition_variable work_came;
  std::condition_variable job_done;
  std::deque<std::shared_ptr<Job>> waiting;
  int running = 0;
  int threads = 0;
  bool stopping = false;

  void serve() {
    std::unique_lock lock(mutex);
    for (;;) {
      work_came.wait(lock, [this] { return stopping || !waiting.empty(); });
      if (stopping) break;
      const std::shared_ptr<Job> job = std::move(waiting.front());
      waiting.pop_front();
      if (job->abandoned) continue;
      ++running;
      lock.unlock();
      job->call();
      job->call = nullptr;  // what it owns goes here, without the lock
      lock.lock();
      --running;
      job->done = true;
      job_done.notify_all();
    }
    --threads;
    job_done.notify_all();
  }
};

TimedCalls::TimedCalls(int threads) : state_(std::make_shared<State>()) {
  state_->threads = threads;
  // Detached: the state is theirs as well, so that one that never returns does no harm.
  for (int i = 0; i < threads; ++i) std::thread([state = state_] { state->serve(); }).detach();
}

TimedCalls::~TimedCalls() {
  std::unique_lock lock(state_->mutex);
  state_->stopping = true;
  state_->work_came.notify_all();
  state_->job_done.wait_for(lock, kGoodbye, [this] { return state_->threads == 0; });
}

bool TimedCalls::busy() const {
  const std::lock_guard lock(state_->mutex);
  return state_->running > 0;
}

Status TimedCalls::make(std::chrono::milliseconds timeout, std::function<void()> call) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  const auto job = std::make_shared<Job>();
  job->call = std::move(call);
  std::unique_lock lock(state_->mutex);
  if (state_->waiting.size() >= kWaitingMax)
    return make_error(ErrorCode::kUnavailable, fmt::format("{} calls wait already", kWaitingMax));
  state_->waiting.push_back(job);
  state_->work_came.notify_one();
  if (state_->job_done.wait_until(lock, deadline, [&] { return job->done; })) return {};
  job->abandoned = true;
  return make_error(ErrorCode::kUnavailable, fmt::format("took longer than {} ms", timeout.count()));
}

}  // namespace cove::plugins
