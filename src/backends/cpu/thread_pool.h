#pragma once
// Pinned threads that share one loop at a time. The calling thread takes part; the others spin for a short while after
// a loop and then sleep, so a backend without work costs nothing. Nothing is allocated after construction. Owned by one
// CpuBackend and called from one thread at a time.

#include <atomic>
#include <cstdint>
#include <thread>
#include <type_traits>
#include <vector>

namespace cove::cpu {

class ThreadPool {
 public:
  // Makes threads - 1 workers; worker i is pinned to processors[i] when there are so many. The caller's own thread is
  // not pinned: its affinity is not ours to change.
  ThreadPool(int threads, const std::vector<int>& processors);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  // Calls body(begin, end, worker) until [0, items) is covered; parts are at most `grain` long and go to whoever is
  // free, so a result must not depend on who computes it. Returns when all is done. worker is in [0, threads()).
  template <class Body>
  void parallel_for(int64_t items, int64_t grain, Body&& body) {
    const auto call = [](void* context, int64_t begin, int64_t end, int worker) {
      (*static_cast<std::remove_reference_t<Body>*>(context))(begin, end, worker);
    };
    run(items, grain, call, const_cast<std::remove_const_t<std::remove_reference_t<Body>>*>(&body));
  }

 private:
  using Task = void (*)(void* context, int64_t begin, int64_t end, int worker);

  void run(int64_t items, int64_t grain, Task task, void* context);
  void take_part(int worker);
  void work(int worker);
  bool wait_for_work(uint32_t seen);

  // The loop's number in the upper 24 bits, items not yet taken in the lower 40: one compare-and-swap takes a part and
  // proves that the fields below are still those of that loop.
  std::atomic<uint64_t> state_{0};
  std::atomic<int64_t> items_{0};
  std::atomic<int64_t> grain_{1};
  std::atomic<Task> task_{nullptr};
  std::atomic<void*> context_{nullptr};
  alignas(64) std::atomic<int64_t> done_{0};
  alignas(64) std::atomic<uint32_t> signal_{0};  // futex: changes with every loop and at the end
  std::atomic<int32_t> sleepers_{0};
  std::atomic<bool> stopping_{false};
  std::vector<std::thread> workers_;
};

}  // namespace cove::cpu
