#include "backends/cpu/thread_pool.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

#include "base/check.h"

namespace cove::cpu {
namespace {

constexpr int kRemainingBits = 40;
constexpr uint64_t kRemainingMask = (uint64_t{1} << kRemainingBits) - 1;
// About 100 us: longer than the gap between two operations of a step, shorter than anyone would notice on an idle
// machine.
constexpr int kSpinRounds = 4000;

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

void futex(std::atomic<uint32_t>& word, int operation, uint32_t value) {
  static_assert(sizeof(std::atomic<uint32_t>) == sizeof(uint32_t));
  syscall(SYS_futex, &word, operation, value, nullptr, nullptr, 0);
}

void pin(std::thread& thread, int processor) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(processor, &set);
  // Refused in some sandboxes; the thread then runs wherever the kernel likes, which is slower but correct.
  (void)pthread_setaffinity_np(thread.native_handle(), sizeof(set), &set);
}

}  // namespace

ThreadPool::ThreadPool(int threads, const std::vector<int>& processors) {
  COVE_CHECK(threads >= 1);
  for (int i = 1; i < threads; ++i) {
    workers_.emplace_back([this, i] { work(i); });
    if (static_cast<size_t>(threads) <= processors.size()) pin(workers_.back(), processors[static_cast<size_t>(i)]);
  }
}

ThreadPool::~ThreadPool() {
  stopping_.store(true);
  signal_.fetch_add(1);
  futex(signal_, FUTEX_WAKE_PRIVATE, INT32_MAX);
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::run(int64_t items, int64_t grain, Task task, void* context) {
  if (items <= 0) return;
  if (workers_.empty() || items <= grain) return task(context, 0, items, 0);
  items_.store(items, std::memory_order_relaxed);
  grain_.store(grain, std::memory_order_relaxed);
  task_.store(task, std::memory_order_relaxed);
  context_.store(context, std::memory_order_relaxed);
  done_.store(0, std::memory_order_relaxed);
  const uint64_t loop = (state_.load(std::memory_order_relaxed) >> kRemainingBits) + 1;
  // Release: whoever takes a part of this loop sees the fields above.
  state_.store((loop << kRemainingBits) | static_cast<uint64_t>(items), std::memory_order_release);
  signal_.fetch_add(1, std::memory_order_seq_cst);
  if (sleepers_.load(std::memory_order_seq_cst) > 0) futex(signal_, FUTEX_WAKE_PRIVATE, INT32_MAX);
  take_part(0);
  // Acquire: what the workers wrote is visible after the loop.
  for (int round = 0; done_.load(std::memory_order_acquire) != items; ++round) {
    pause();
    if (round > kSpinRounds)
      sched_yield();  // a worker was descheduled in the middle of its part: let it have this core
  }
}

void ThreadPool::take_part(int worker) {
  uint64_t state = state_.load(std::memory_order_acquire);
  while ((state & kRemainingMask) != 0) {
    const auto remaining = static_cast<int64_t>(state & kRemainingMask);
    const int64_t count = std::min(remaining, grain_.load(std::memory_order_relaxed));
    if (!state_.compare_exchange_weak(state, state - static_cast<uint64_t>(count), std::memory_order_acq_rel,
                                      std::memory_order_acquire)) {
      continue;
    }
    const int64_t begin = items_.load(std::memory_order_relaxed) - remaining;
    task_.load(std::memory_order_relaxed)(context_.load(std::memory_order_relaxed), begin, begin + count, worker);
    done_.fetch_add(count, std::memory_order_release);
    state = state_.load(std::memory_order_acquire);
  }
}

bool ThreadPool::wait_for_work(uint32_t seen) {
  for (int round = 0; round < kSpinRounds; ++round) {
    if (signal_.load(std::memory_order_acquire) != seen) return !stopping_.load();
    pause();
  }
  sleepers_.fetch_add(1, std::memory_order_seq_cst);
  while (signal_.load(std::memory_order_seq_cst) == seen) futex(signal_, FUTEX_WAIT_PRIVATE, seen);
  sleepers_.fetch_sub(1, std::memory_order_relaxed);
  return !stopping_.load();
}

void ThreadPool::work(int worker) {
  uint32_t seen = 0;
  while (wait_for_work(seen)) {
    seen = signal_.load(std::memory_order_acquire);
    take_part(worker);
  }
}

}  // namespace cove::cpu
