#pragma once
// Rope with key-value write, and paged attention, over all threads. Called by cpu_backend.cc.

#include <vector>

#include "backends/cpu/kv_cache.h"
#include "backends/cpu/memory.h"
#include "backends/cpu/thread_pool.h"
#include "compute/backend.h"

namespace cove::cpu {

class AttentionRunner {
 public:
  AttentionRunner(const KernelTable& kernels, ThreadPool& pool);

  void begin_step() { angles_are_for_ = {}; }
  void rope_kv(const RopeKvArgs& args);
  void attention(const AttentionArgs& args);

 private:
  struct AngleKey {
    const DeviceBuffer* inv_freq = nullptr;
    float scale = 0;
    bool operator==(const AngleKey&) const = default;
  };
  // Queries of one sequence and one key head, counted token by token, query head by query head.
  struct Item {
    int32_t sequence = 0;
    int32_t kv_head = 0;
    int32_t first_query = 0;
    int32_t count = 0;
  };

  void fill_angles(const RopeKvArgs& args);
  void rope_token(const RopeKvArgs& args, int64_t token);
  void list_items(const AttentionArgs& args);
  void attend(const AttentionArgs& args, const Item& item, int worker);

  const KernelTable& kernels_;
  ThreadPool& pool_;
  AngleKey angles_are_for_;  // in this step
  AlignedBytes angles_;      // [T][2][head_dim / 2]: cosines, sines
  std::vector<Item> items_;
  AlignedBytes scratch_;  // [threads][scratch_floats_]
  int64_t scratch_floats_ = 0;
  std::vector<std::vector<const void*>> blocks_;  // per thread: key blocks, then value blocks of a sequence
};

}  // namespace cove::cpu
