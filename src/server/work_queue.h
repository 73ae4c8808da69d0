#pragma once
// A few threads for what would hold up the I/O thread: parsing, templates, tokenizing of long prompts. Bounded: a full
// queue refuses.

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace cove::server {

struct WorkQueueOptions {
  int threads = 2;
  size_t tasks_max = 1024;
};

class WorkQueue {
 public:
  explicit WorkQueue(const WorkQueueOptions& options);
  ~WorkQueue();  // waits for running tasks, drops waiting ones
  WorkQueue(const WorkQueue&) = delete;
  WorkQueue& operator=(const WorkQueue&) = delete;

  // False when the queue is full: the task was not taken. Any thread.
  [[nodiscard]] bool try_push(std::function<void()> task);

 private:
  void work();

  WorkQueueOptions options_;
  std::mutex mutex_;  // guards tasks_ and stopping_
  std::condition_variable ready_;
  std::deque<std::function<void()>> tasks_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace cove::server
