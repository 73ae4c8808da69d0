#pragma once
// Runs the kernels of this folder on the host, for emulated_kernels_test.cc: the words of ptx.cuh and wgmma.cuh for a
// C++ compiler. The threads of a cluster are coroutines that change places wherever they wait, in an order drawn anew
// each time. What is asynchronous happens as late as the program allows: copies arrive when nobody can go on without
// them (or at a drawn moment), wgmma computes when its group is waited for, stores read shared memory when they are
// waited for. So a missing wait, a stage given back too early or a wrong count of bytes or arrivals shows as a wrong
// result or a standstill. What it cannot show: missing fences, races between clusters, and speed.

#include <ucontext.h>

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "backends/cuda/hopper/plan/layout.h"
#include "base/check.h"
#include "tensor/formats/float16.h"

namespace cove::cuda::hopper {

// What the copy engine knows of an array; on the device the driver encodes it.
struct TensorMap {
  std::byte* data = nullptr;
  int64_t rows = 0;
  int64_t columns = 0;
  int64_t pitch = 0;  // bytes
  int64_t element_bytes = 2;
  int64_t box_rows = 0;
  int64_t box_bytes = kRowBytes;  // of a box's row
  bool swizzles = true;           // rows of 128 bytes
  int64_t planes = 1;             // of `rows` each, at this pitch
  int64_t plane_pitch = 0;
  int64_t box_planes = 1;
};

namespace emulated {

struct Index {
  unsigned x = 0;
};
struct Place3 {
  Index thread{};
  Index block{};
  Index grid{};
};

constexpr uint32_t kSharedBase = 1152;  // where dynamic shared memory begins: not where the kernels want it
constexpr size_t kStackBytes = size_t{192} << 10;
constexpr uint32_t kLanes = 32;
constexpr uint32_t kWarpgroupLanes = 128;

struct Barrier {
  uint32_t arrivals = 0;  // of a phase
  uint32_t missing = 0;
  int64_t bytes = 0;
  uint32_t phase = 0;
};
struct Meeting {  // of threads that wait for each other
  uint32_t arrived = 0;
  uint64_t generation = 0;
};

enum class Product : uint8_t { kBf16, kE4m3, kInt8, kBf16Registers, kBf16RegistersK };
constexpr bool a_in_registers(Product product) {
  return product == Product::kBf16Registers || product == Product::kBf16RegistersK;
}
struct Wgmma {
  Product product = Product::kBf16;
  void* d = nullptr;
  int registers = 0;
  uint64_t a = 0;
  uint64_t b = 0;
  const uint32_t* a_registers = nullptr;
  bool accumulate = false;
};
struct Copy {
  uint32_t to = 0;
  const TensorMap* map = nullptr;
  int32_t x = 0;
  int32_t y = 0;
  int32_t z = 0;
  uint32_t barrier = 0;
  uint32_t blocks = 0;  // bit per block of the cluster
};
struct Store {
  const TensorMap* map = nullptr;
  int32_t x = 0;
  int32_t y = 0;
  uint32_t from = 0;
  bool adds = false;  // to bf16 values
};

struct Thread {
  Place3 place{};
  uint32_t block = 0;  // of the cluster
  bool ended = false;
  ucontext_t context{};
  std::unique_ptr<std::byte[]> stack;
  std::vector<Wgmma> open;
  std::deque<std::vector<Wgmma>> groups;
  std::deque<Store> stores;
  std::array<uint32_t, 8> shown{};  // to the other lanes of the warp
};

struct Block {
  std::vector<std::byte> shared;
  std::map<uint32_t, Barrier> barriers;
  std::array<Meeting, 16> named;
  std::array<Meeting, 32> warps;
};

class Machine {
 public:
  static Machine& get() {
    static Machine machine;
    return machine;
  }

  // One cluster after the other, in a drawn order.
  void run(uint32_t grid, uint32_t cluster, uint32_t threads, uint32_t shared_bytes,
           const std::function<void()>& kernel) {
    COVE_CHECK(grid % cluster == 0);
    COVE_CHECK_MSG(shared_bytes <= 227 * 1024, "more shared memory than a block can have");
    std::vector<uint32_t> order(grid / cluster);
    for (uint32_t i = 0; i < order.size(); ++i) order[i] = i;
    for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[roll() % i]);
    for (const uint32_t index : order) run_cluster(grid, index * cluster, cluster, threads, shared_bytes, kernel);
  }

  Thread& self() { return *running_; }
  Block& block() { return blocks_[running_->block]; }
  Block& block(uint32_t rank) { return blocks_.at(rank); }
  uint32_t cluster_size() const { return static_cast<uint32_t>(blocks_.size()); }
  uint32_t block_threads() const { return threads_per_block_; }
  // The lane of the running thread's warp.
  Thread& lane(uint32_t index) {
    const uint32_t first = running_->place.thread.x / kLanes * kLanes;
    return threads_[running_->block * threads_per_block_ + first + index];
  }

  template <class Condition>
  void wait_until(const Condition& condition) {
    Thread* thread = running_;
    while (!condition()) {
      swapcontext(&thread->context, &scheduler_);
      running_ = thread;
    }
    moved_ = true;
  }
  static void arrive(Meeting& meeting, uint32_t count) {
    COVE_CHECK_MSG(meeting.arrived < count, "more threads at a barrier than it counts");
    if (++meeting.arrived < count) return;
    meeting.arrived = 0;
    ++meeting.generation;
  }
  void meet(Meeting& meeting, uint32_t count) {
    const uint64_t generation = meeting.generation;
    arrive(meeting, count);
    wait_until([&] { return meeting.generation != generation; });
  }
  void meet_warp() { meet(block().warps[running_->place.thread.x / kLanes], kLanes); }
  void meet_cluster() { meet(cluster_meeting_, cluster_size() * threads_per_block_); }

  Barrier& barrier(uint32_t rank, uint32_t address) {
    const auto found = blocks_.at(rank).barriers.find(address);
    COVE_CHECK_MSG(found != blocks_.at(rank).barriers.end(), "a barrier that was not initialised");
    return found->second;
  }
  void finish_phase(Barrier& barrier) {
    if (barrier.missing > 0 || barrier.bytes != 0) return;
    barrier.missing = barrier.arrivals;
    ++barrier.phase;
  }
  void arrive(uint32_t rank, uint32_t address) {
    Barrier& b = barrier(rank, address);
    COVE_CHECK_MSG(b.missing > 0, "one arrival too many at a barrier");
    --b.missing;
    finish_phase(b);
  }

  std::byte* shared(uint32_t rank, uint32_t address, uint32_t bytes) {
    std::vector<std::byte>& memory = blocks_.at(rank).shared;
    COVE_CHECK_MSG(address >= kSharedBase && address + bytes <= kSharedBase + memory.size(),
                   "an address outside shared memory");
    return memory.data() + (address - kSharedBase);
  }
  void copy_later(const Copy& copy) { copies_.push_back(copy); }
  uint64_t roll() {
    dice_ ^= dice_ << 13U;
    dice_ ^= dice_ >> 7U;
    dice_ ^= dice_ << 17U;
    return dice_;
  }

 private:
  static void thread_main() {
    Machine& machine = get();
    (*machine.kernel_)();
    Thread& thread = machine.self();
    COVE_CHECK_MSG(thread.groups.empty() && thread.open.empty(), "a thread ended with products under way");
    COVE_CHECK_MSG(thread.stores.empty(), "a thread ended with stores under way");
    thread.ended = true;
    machine.moved_ = true;
    swapcontext(&thread.context, &machine.scheduler_);
  }

  void run_cluster(uint32_t grid, uint32_t first_block, uint32_t cluster, uint32_t threads, uint32_t shared_bytes,
                   const std::function<void()>& kernel) {
    kernel_ = &kernel;
    threads_per_block_ = threads;
    blocks_ = std::vector<Block>(cluster);
    for (Block& b : blocks_) b.shared.assign(shared_bytes, std::byte{0xFF});
    cluster_meeting_ = {};
    if (threads_.size() < size_t{cluster} * threads) threads_ = std::vector<Thread>(size_t{cluster} * threads);
    count_ = cluster * threads;
    for (uint32_t i = 0; i < count_; ++i) {
      Thread& thread = threads_[i];
      if (!thread.stack) thread.stack = std::make_unique<std::byte[]>(kStackBytes);
      thread.place = {{i % threads}, {first_block + i / threads}, {grid}};
      thread.block = i / threads;
      thread.ended = false;
      getcontext(&thread.context);
      thread.context.uc_stack.ss_sp = thread.stack.get();
      thread.context.uc_stack.ss_size = kStackBytes;
      thread.context.uc_link = nullptr;
      makecontext(&thread.context, &Machine::thread_main, 0);
    }
    run_threads();
    COVE_CHECK_MSG(copies_.empty(), "a block ended with copies under way");
  }

  void run_threads() {
    for (bool left = true; left;) {
      moved_ = false;
      left = false;
      const uint64_t first = roll() % count_;
      const uint64_t stride = roll() % 2 == 0 ? 1 : count_ - 1;
      for (uint64_t i = 0; i < count_; ++i) {
        Thread& thread = threads_[(first + i * stride) % count_];
        if (thread.ended) continue;
        left = true;
        running_ = &thread;
        swapcontext(&scheduler_, &thread.context);
      }
      if (!copies_.empty() && (!moved_ || roll() % 16 == 0)) {
        for (uint64_t left_now = 1 + roll() % 4; left_now > 0 && !copies_.empty(); --left_now) deliver();
      } else {
        COVE_CHECK_MSG(moved_ || !left, "the threads stand still: each waits for what never comes");
      }
    }
  }

  // One of the copies under way, drawn.
  void deliver() {
    const size_t which = roll() % copies_.size();
    const Copy copy = copies_[which];
    copies_.erase(copies_.begin() + static_cast<std::ptrdiff_t>(which));
    for (uint32_t rank = 0; rank < cluster_size(); ++rank) {
      if ((copy.blocks >> rank & 1U) == 0) continue;
      write_box(copy, rank);
      Barrier& b = barrier(rank, copy.barrier);
      b.bytes -= copy.map->box_planes * copy.map->box_rows * copy.map->box_bytes;
      finish_phase(b);
    }
  }
  void write_box(const Copy& copy, uint32_t rank) {
    const TensorMap& map = *copy.map;
    COVE_CHECK_MSG(copy.to % (map.swizzles ? kAtomBytes : 128) == 0,
                   "a box that does not begin at a multiple of 1024 bytes, or 128 without swizzle");
    const auto width = static_cast<uint32_t>(map.element_bytes);
    for (int64_t r = 0; r < map.box_planes * map.box_rows; ++r) {
      const int64_t plane = copy.z + r / map.box_rows;
      const int64_t row = copy.y + r % map.box_rows;
      for (uint32_t byte = 0; byte < map.box_bytes; byte += width) {
        const int64_t column = copy.x + byte / width;
        const auto in_box = static_cast<uint32_t>(r);
        const uint32_t at =
            map.swizzles ? swizzled(in_box, byte) : in_box * static_cast<uint32_t>(map.box_bytes) + byte;
        std::byte* to = shared(rank, copy.to + at, width);
        if (plane < map.planes && row >= 0 && row < map.rows && column >= 0 && column < map.columns) {
          std::memcpy(to, map.data + plane * map.plane_pitch + row * map.pitch + column * width, width);
        } else {
          std::memset(to, 0, width);
        }
      }
    }
  }

  const std::function<void()>* kernel_ = nullptr;
  uint32_t threads_per_block_ = 0;
  uint32_t count_ = 0;
  std::vector<Thread> threads_;
  std::vector<Block> blocks_;
  Meeting cluster_meeting_;
  std::vector<Copy> copies_;
  Thread* running_ = nullptr;
  ucontext_t scheduler_{};
  bool moved_ = false;
  uint64_t dice_ = 0x9E3779B97F4A7C15U;
};

// --- wgmma, by the descriptors ---

inline uint32_t swizzle_address(uint32_t address) { return address ^ ((address >> 7U & 7U) << 4U); }

inline float bf16_value(uint16_t bits) {
  const uint32_t word = static_cast<uint32_t>(bits) << 16U;
  float value = 0.0F;
  std::memcpy(&value, &word, 4);
  return value;
}
inline float e4m3_decoded(uint8_t bits) {
  const int exponent = bits >> 3 & 15;
  const int mantissa = bits & 7;
  float value = exponent == 0 ? std::ldexp(static_cast<float>(mantissa), -9)
                              : std::ldexp(static_cast<float>(8 + mantissa), exponent - 10);
  if ((bits & 0x7F) == 0x7F) value = NAN;
  return bits >= 0x80 ? -value : value;
}
inline float e4m3_value(uint8_t bits) {
  static const std::array<float, 256> kValues = [] {
    std::array<float, 256> values{};
    for (size_t i = 0; i < values.size(); ++i) values[i] = e4m3_decoded(static_cast<uint8_t>(i));
    return values;
  }();
  return kValues[bits];
}

// The fields of a descriptor, and what it makes the tensor cores read.
class Operand {
 public:
  explicit Operand(uint64_t bits)
      : start_(static_cast<uint32_t>(bits & 0x3FFFU) << 4U),
        leading_(static_cast<uint32_t>(bits >> 16U & 0x3FFFU) << 4U),
        stride_(static_cast<uint32_t>(bits >> 32U & 0x3FFFU) << 4U) {
    COVE_CHECK_MSG(bits >> 62U == 1, "a descriptor without 128-byte swizzle");
  }
  uint16_t word_k_major(uint32_t row, uint32_t k) const { return read<uint16_t>(row_at(row) + k * 2); }
  uint8_t byte_k_major(uint32_t row, uint32_t k) const { return read<uint8_t>(row_at(row) + k); }
  uint16_t word_n_major(uint32_t n, uint32_t k) const {
    return read<uint16_t>(start_ + n / 64 * leading_ + k / 8 * stride_ + k % 8 * kRowBytes + n % 64 * 2);
  }

 private:
  uint32_t row_at(uint32_t row) const { return start_ + row / 8 * stride_ + row % 8 * kRowBytes; }
  template <class T>
  static T read(uint32_t address) {
    Machine& machine = Machine::get();
    T value;
    std::memcpy(&value, machine.shared(machine.self().block, swizzle_address(address), sizeof(T)), sizeof(T));
    return value;
  }
  uint32_t start_;
  uint32_t leading_;
  uint32_t stride_;
};

// Element (row, k) of an A operand in registers: lane 4 (row % 8) + k % 8 / 2 of the warp holds it.
inline float a_register_value(const std::array<const uint32_t*, kLanes>& of_lanes, uint32_t row, uint32_t k) {
  const uint32_t* a = of_lanes[size_t{row % 8 * 4} + k % 8 / 2];
  const uint32_t pair = a[row % 16 / 8 + k / 8 * 2];
  return bf16_value(static_cast<uint16_t>(k % 2 == 0 ? pair : pair >> 16U));
}

// One wgmma for the running thread: two rows, two of every eight columns.
class Computation {
 public:
  Computation(const Wgmma& w, const std::array<const uint32_t*, kLanes>& a_of_lanes)
      : w_(w), a_of_lanes_(a_of_lanes), a_(a_in_registers(w.product) ? uint64_t{1} << 62U : w.a), b_(w.b) {}

  void run() const {
    const auto thread = static_cast<int>(Machine::get().self().place.thread.x % kWarpgroupLanes);
    const std::array<Line, 2> a = {a_line(static_cast<uint32_t>(accumulator_place(thread, 0).row)),
                                   a_line(static_cast<uint32_t>(accumulator_place(thread, 2).row))};
    for (int reg = 0; reg < w_.registers; reg += 4) {
      for (int odd = 0; odd < 2; ++odd) {
        const Line b = b_line(static_cast<uint32_t>(accumulator_place(thread, reg + odd).column));
        for (size_t half = 0; half < 2; ++half) add(reg + static_cast<int>(half) * 2 + odd, a[half], b);
      }
    }
  }

 private:
  using Line = std::array<double, 32>;  // along K
  uint32_t depth() const { return w_.product == Product::kE4m3 || w_.product == Product::kInt8 ? 32 : 16; }

  Line a_line(uint32_t row) const {
    Line line{};
    for (uint32_t k = 0; k < depth(); ++k) {
      const bool in_registers = a_in_registers(w_.product);
      line[k] = in_registers ? static_cast<double>(a_register_value(a_of_lanes_, row, k)) : k_major(a_, row, k);
    }
    return line;
  }
  Line b_line(uint32_t column) const {
    Line line{};
    for (uint32_t k = 0; k < depth(); ++k) {
      const bool n_major = w_.product == Product::kBf16Registers;
      line[k] = n_major ? static_cast<double>(bf16_value(b_.word_n_major(column, k))) : k_major(b_, column, k);
    }
    return line;
  }
  double k_major(const Operand& operand, uint32_t row, uint32_t k) const {
    if (w_.product == Product::kE4m3) return static_cast<double>(e4m3_value(operand.byte_k_major(row, k)));
    if (w_.product == Product::kInt8) return static_cast<double>(static_cast<int8_t>(operand.byte_k_major(row, k)));
    return static_cast<double>(bf16_value(operand.word_k_major(row, k)));
  }
  void add(int reg, const Line& a, const Line& b) const {
    double sum = 0.0;
    for (uint32_t k = 0; k < depth(); ++k) sum += a[k] * b[k];
    if (w_.product == Product::kInt8) {
      int32_t& d = static_cast<int32_t*>(w_.d)[reg];
      d = (w_.accumulate ? d : 0) + static_cast<int32_t>(sum);
    } else {
      float& d = static_cast<float*>(w_.d)[reg];
      d = static_cast<float>((w_.accumulate ? static_cast<double>(d) : 0.0) + sum);
    }
  }

  const Wgmma& w_;
  const std::array<const uint32_t*, kLanes>& a_of_lanes_;
  Operand a_;
  Operand b_;
};

inline void start(const Wgmma& w) { Machine::get().self().open.push_back(w); }

// Lanes of a warp hold the same groups; each reads the others' registers before any may go on.
inline void finish_groups(size_t left) {
  Machine& machine = Machine::get();
  Thread& self = machine.self();
  machine.meet_warp();
  for (size_t group = 0; group + left < self.groups.size(); ++group) {
    for (size_t i = 0; i < self.groups[group].size(); ++i) {
      std::array<const uint32_t*, kLanes> a_of_lanes{};
      if (a_in_registers(self.groups[group][i].product)) {
        for (uint32_t l = 0; l < kLanes; ++l) a_of_lanes[l] = machine.lane(l).groups.at(group).at(i).a_registers;
      }
      Computation(self.groups[group][i], a_of_lanes).run();
    }
  }
  machine.meet_warp();
  while (self.groups.size() > left) self.groups.pop_front();
}

inline void write_store(const Store& store) {
  Machine& machine = Machine::get();
  const TensorMap& map = *store.map;
  const auto width = static_cast<uint32_t>(map.element_bytes);
  for (int64_t r = 0; r < map.box_rows; ++r) {
    for (uint32_t byte = 0; byte < kRowBytes; byte += width) {
      const int64_t row = store.y + r;
      const int64_t column = store.x + byte / width;
      if (row >= map.rows || column >= map.columns) continue;
      std::byte* to = map.data + row * map.pitch + column * width;
      const auto* from =
          machine.shared(machine.self().block, store.from + swizzled(static_cast<uint32_t>(r), byte), width);
      if (store.adds) {
        uint16_t values[2];
        std::memcpy(&values[0], to, 2);
        std::memcpy(&values[1], from, 2);
        values[0] = f32_to_bf16(bf16_to_f32(values[0]) + bf16_to_f32(values[1]));
        std::memcpy(to, &values[0], 2);
      } else {
        std::memcpy(to, from, width);
      }
    }
  }
}
inline void finish_stores(size_t left) {
  std::deque<Store>& stores = Machine::get().self().stores;
  while (stores.size() > left) {
    write_store(stores.front());
    stores.pop_front();
  }
}

}  // namespace emulated
}  // namespace cove::cuda::hopper
