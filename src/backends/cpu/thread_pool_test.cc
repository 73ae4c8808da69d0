#include "backends/cpu/thread_pool.h"

#include <time.h>
#include <unistd.h>

#include <atomic>
#include <numeric>
#include <vector>

#include <gtest/gtest.h>

namespace cove::cpu {
namespace {

double process_cpu_seconds() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

TEST(ThreadPool, covers_every_item_once_for_any_size_and_grain) {
  for (const int threads : {1, 2, 5}) {
    ThreadPool pool(threads, {});
    for (const int64_t items : {0, 1, 2, 7, 64, 1000}) {
      for (const int64_t grain : {1, 3, 64}) {
        std::vector<std::atomic<int>> seen(static_cast<size_t>(items));
        pool.parallel_for(items, grain, [&](int64_t begin, int64_t end, int worker) {
          ASSERT_LT(worker, threads);
          for (int64_t i = begin; i < end; ++i) seen[static_cast<size_t>(i)].fetch_add(1);
        });
        for (const auto& count : seen)
          ASSERT_EQ(count.load(), 1) << threads << " threads, " << items << " by " << grain;
      }
    }
  }
}

TEST(ThreadPool, writes_of_a_loop_are_seen_after_it) {
  ThreadPool pool(4, {});
  std::vector<int64_t> values(4096);
  for (int64_t round = 1; round <= 300; ++round) {
    pool.parallel_for(4096, 32, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) values[static_cast<size_t>(i)] += round;
    });
    ASSERT_EQ(std::accumulate(values.begin(), values.end(), int64_t{0}), 4096 * round * (round + 1) / 2);
  }
}

TEST(ThreadPool, survives_gaps_in_which_the_workers_fall_asleep) {
  ThreadPool pool(3, {});
  for (int round = 0; round < 20; ++round) {
    std::atomic<int64_t> sum{0};
    pool.parallel_for(100, 1, [&](int64_t begin, int64_t end, int) { sum += end - begin; });
    ASSERT_EQ(sum.load(), 100);
    usleep(2000);
  }
}

TEST(ThreadPool, burns_no_processor_time_while_nothing_is_to_do) {
  ThreadPool pool(4, {});
  pool.parallel_for(100, 1, [](int64_t, int64_t, int) {});
  usleep(50'000);  // longer than the workers spin
  const double before = process_cpu_seconds();
  usleep(300'000);
  EXPECT_LT(process_cpu_seconds() - before, 0.05);
}

}  // namespace
}  // namespace cove::cpu
