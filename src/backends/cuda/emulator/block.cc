#include "backends/cuda/emulator/block.h"

#include <algorithm>
#include <cstring>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "backends/cuda/emulator/fiber.h"
#include "base/check.h"

namespace cove::cuda::emulated {
namespace {

constexpr size_t kStackBytes = size_t{256} << 10;
constexpr size_t kExchangeMax = 64;
constexpr unsigned kWarpLanes = 32;

struct Copy {
  void* to;
  const void* from;
  size_t bytes;
  size_t zero_bytes;
};

enum class Waits : uint8_t { kNot, kBlock, kWarp, kEnded };

struct Thread {
  ThreadPlace place;
  unsigned index = 0;
  Waits waits = Waits::kNot;
  size_t static_used = 0;
  unsigned exchanges = 0;
  std::vector<Copy> open_group;
  std::deque<std::vector<Copy>> groups;
  std::unique_ptr<Fiber> fiber;
};

struct Warp {
  alignas(16) std::byte slots[2][kWarpLanes * kExchangeMax];
};

struct Block {
  const std::function<void()>* kernel = nullptr;
  std::vector<Thread> threads;  // grows, never shrinks: stacks are reused
  std::vector<Warp> warps;
  std::vector<std::byte> dynamic_memory;
  std::vector<std::byte> static_memory;
  size_t thread_count = 0;
  uint64_t dice = 0x9E3779B97F4A7C15U;
};

Block the_block;
Thread* running = nullptr;

void thread_main(void* argument) {
  auto* thread = static_cast<Thread*>(argument);
  (*the_block.kernel)();
  COVE_CHECK_MSG(thread->groups.empty() && thread->open_group.empty(), "a thread ended with copies under way");
  thread->waits = Waits::kEnded;
  thread->fiber->suspend();
}

void wait(Waits what) {
  Thread* self = running;
  self->waits = what;
  self->fiber->suspend();
  running = self;
}

uint64_t roll() {
  uint64_t& x = the_block.dice;
  x ^= x << 13;
  x ^= x >> 7;
  x ^= x << 17;
  return x;
}

// Lets every thread of [begin, end) that may run do so, in a drawn order. False: none could.
bool run_ready(size_t begin, size_t end) {
  const size_t count = end - begin;
  const size_t first = roll() % count;
  const size_t stride = (roll() % 2 == 0) ? 1 : count - 1;
  bool any = false;
  for (size_t i = 0; i < count; ++i) {
    Thread& thread = the_block.threads[begin + (first + i * stride) % count];
    if (thread.waits != Waits::kNot) continue;
    running = &thread;
    thread.fiber->resume();
    any = true;
  }
  return any;
}

// Releases the threads of [begin, end) when all that have not ended wait for `what`. kWarp: of one warp.
bool release(size_t begin, size_t end, Waits what) {
  bool any = false;
  for (size_t i = begin; i < end; ++i) {
    const Waits waits = the_block.threads[i].waits;
    if (waits == Waits::kEnded) continue;
    if (waits != what) return false;
    any = true;
  }
  for (size_t i = begin; any && i < end; ++i) {
    if (the_block.threads[i].waits == what) the_block.threads[i].waits = Waits::kNot;
  }
  return any;
}

std::string standstill() {
  std::string text = "the block stands still: ";
  for (size_t i = 0; i < the_block.thread_count; ++i) {
    constexpr const char* kNames = ".BWE";  // ready, at a block barrier, in a warp operation, ended
    text += kNames[static_cast<size_t>(the_block.threads[i].waits)];
  }
  return text;
}

void run_block() {
  const size_t count = the_block.thread_count;
  for (;;) {
    bool moved = false;
    for (size_t warp = 0; warp * kWarpLanes < count; ++warp) {
      const size_t begin = warp * kWarpLanes;
      const size_t end = std::min(count, begin + kWarpLanes);
      while (run_ready(begin, end) || release(begin, end, Waits::kWarp)) moved = true;
    }
    if (release(0, count, Waits::kBlock)) continue;
    bool ended = true;
    for (size_t i = 0; i < count; ++i) ended = ended && the_block.threads[i].waits == Waits::kEnded;
    if (ended) return;
    COVE_CHECK_MSG(moved, standstill());
  }
}

void set_up(const Launch& launch, const std::function<void()>& kernel) {
  the_block.kernel = &kernel;
  the_block.thread_count = size_t{launch.block.x} * launch.block.y * launch.block.z;
  COVE_CHECK(the_block.thread_count > 0 && the_block.thread_count <= 1024);
  COVE_CHECK_MSG(static_cast<int64_t>(launch.shared_bytes) <= kSharedMax, "more shared memory than every GPU has");
  COVE_CHECK(launch.grid.y <= 65535 && launch.grid.z <= 65535);
  if (the_block.threads.size() < the_block.thread_count) the_block.threads.resize(the_block.thread_count);
  the_block.warps.resize((the_block.thread_count + kWarpLanes - 1) / kWarpLanes);
  // Exactly as large as asked for, so that AddressSanitizer sees every step beyond.
  the_block.dynamic_memory = std::vector<std::byte>(launch.shared_bytes);
  the_block.static_memory.resize(size_t{48} << 10);
}

void begin_threads(const Launch& launch, const Index3& block) {
  std::ranges::fill(the_block.dynamic_memory, std::byte{0xff});
  std::ranges::fill(the_block.static_memory, std::byte{0xff});
  for (unsigned i = 0; i < the_block.thread_count; ++i) {
    Thread& thread = the_block.threads[i];
    if (thread.fiber == nullptr) thread.fiber = std::make_unique<Fiber>(kStackBytes);
    thread.index = i;
    thread.waits = Waits::kNot;
    thread.static_used = 0;
    thread.exchanges = 0;
    const unsigned rest = i / launch.block.x;
    thread.place = {.thread = {i % launch.block.x, rest % launch.block.y, rest / launch.block.y},
                    .block = block,
                    .block_dim = launch.block,
                    .grid_dim = launch.grid};
    thread.fiber->prepare(thread_main, &thread);
  }
}

}  // namespace

const ThreadPlace& place() { return running->place; }
int lane() { return static_cast<int>(running->index % kWarpLanes); }

void run(const Launch& launch, const std::function<void()>& kernel) {
  COVE_CHECK(launch.grid.x > 0 && launch.grid.y > 0 && launch.grid.z > 0);
  set_up(launch, kernel);
  for (unsigned z = 0; z < launch.grid.z; ++z) {
    for (unsigned y = 0; y < launch.grid.y; ++y) {
      for (unsigned x = 0; x < launch.grid.x; ++x) {
        begin_threads(launch, {x, y, z});
        run_block();
      }
    }
  }
}

void block_barrier() { wait(Waits::kBlock); }

std::byte* dynamic_shared() { return the_block.dynamic_memory.data(); }

std::byte* static_shared(size_t bytes) {
  std::byte* at = the_block.static_memory.data() + running->static_used;
  running->static_used += (bytes + 15) / 16 * 16;
  COVE_CHECK_MSG(running->static_used <= the_block.static_memory.size(), "more than 48 KiB of static shared memory");
  return at;
}

const std::byte* warp_exchange(const void* in, size_t bytes) {
  COVE_CHECK(bytes <= kExchangeMax);
  Thread* self = running;
  // Two tables in turn: nobody can be two exchanges ahead of a lane that still reads.
  std::byte* table = the_block.warps[self->index / kWarpLanes].slots[self->exchanges++ % 2];
  std::memcpy(table + size_t{self->index % kWarpLanes} * bytes, in, bytes);
  wait(Waits::kWarp);
  return table;
}

void async_copy(void* to, const void* from, size_t bytes, size_t zero_bytes) {
  running->open_group.push_back({to, from, bytes, zero_bytes});
}

void async_commit() {
  running->groups.push_back(std::move(running->open_group));
  running->open_group.clear();
}

void async_wait(int groups_left) {
  while (std::ssize(running->groups) > groups_left) {
    for (const Copy& copy : running->groups.front()) {
      if (copy.bytes > 0) std::memcpy(copy.to, copy.from, copy.bytes);
      if (copy.zero_bytes > 0) std::memset(static_cast<std::byte*>(copy.to) + copy.bytes, 0, copy.zero_bytes);
    }
    running->groups.pop_front();
  }
}

}  // namespace cove::cuda::emulated
