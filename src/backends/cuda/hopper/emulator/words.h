#pragma once
// The words of CUDA C++, ptx.cuh and wgmma.cuh for the emulator: the same names, the same meaning. Included through
// device.cuh when COVE_HOPPER_EMULATED is defined; for tests.

#include <algorithm>

#include "backends/cuda/hopper/emulator/machine.h"
#include "tensor/formats/float16.h"

#define __global__
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __grid_constant__
#define threadIdx (::cove::cuda::hopper::emulated::Machine::get().self().place.thread)
#define blockIdx (::cove::cuda::hopper::emulated::Machine::get().self().place.block)
#define gridDim (::cove::cuda::hopper::emulated::Machine::get().self().place.grid)

namespace cove::cuda::hopper {

struct alignas(8) float2 {
  float x, y;
};
struct alignas(16) int4 {
  int x, y, z, w;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
struct alignas(8) uint2 {
  unsigned x, y;
};
inline float2 make_float2(float x, float y) { return {x, y}; }
inline int4 make_int4(int x, int y, int z, int w) { return {x, y, z, w}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }

inline emulated::Machine& machine() { return emulated::Machine::get(); }

inline void __syncthreads() { machine().meet(machine().block().named[0], machine().block_threads()); }
inline void __syncwarp() { machine().meet_warp(); }
inline void __threadfence() {}
inline uint32_t atomicAdd(uint32_t* at, uint32_t value) {
  const uint32_t old = *at;
  *at += value;
  return old;
}
inline void __stcg(int4* at, int4 value) { *at = value; }
inline int4 __ldcg(const int4* at) { return *at; }
inline uint32_t __float_as_uint(float value) {
  uint32_t bits = 0;
  std::memcpy(&bits, &value, 4);
  return bits;
}
inline float __uint_as_float(uint32_t bits) {
  float value = 0.0F;
  std::memcpy(&value, &bits, 4);
  return value;
}
// Bytes of a (0-3) and b (4-7), chosen by the digits of `digits`, lowest first.
inline uint32_t __byte_perm(uint32_t a, uint32_t b, uint32_t digits) {
  const uint64_t both = static_cast<uint64_t>(b) << 32U | a;
  uint32_t chosen = 0;
  for (unsigned i = 0; i < 4; ++i) {
    chosen |= static_cast<uint32_t>(both >> ((digits >> (4 * i) & 7U) * 8) & 0xFFU) << (8 * i);
  }
  return chosen;
}
inline int32_t __float_as_int(float value) {
  int32_t bits = 0;
  std::memcpy(&bits, &value, 4);
  return bits;
}
inline float __int_as_float(int32_t bits) {
  float value = 0.0F;
  std::memcpy(&value, &bits, 4);
  return value;
}
inline float __expf(float x) { return std::exp(x); }
inline float __fdividef(float x, float y) { return x / y; }
inline float __shfl_xor_sync(unsigned, float value, int mask) {
  emulated::Thread& self = machine().self();
  self.shown[0] = static_cast<uint32_t>(__float_as_int(value));
  machine().meet_warp();
  const uint32_t other =
      machine().lane((self.place.thread.x % emulated::kLanes) ^ static_cast<unsigned>(mask)).shown[0];
  machine().meet_warp();
  return __int_as_float(static_cast<int32_t>(other));
}

inline int __all_sync(unsigned, bool predicate) {
  machine().self().shown[0] = predicate ? 1U : 0U;
  machine().meet_warp();
  int all = 1;
  for (uint32_t lane = 0; lane < emulated::kLanes; ++lane) all &= static_cast<int>(machine().lane(lane).shown[0]);
  machine().meet_warp();
  return all;
}

// --- ptx.cuh ---

inline uint32_t dynamic_shared() { return emulated::kSharedBase; }
inline uint32_t load_shared(uint32_t address) {
  uint32_t value = 0;
  std::memcpy(&value, machine().shared(machine().self().block, address, 4), 4);
  return value;
}
inline void store_shared(uint32_t address, uint32_t value) {
  std::memcpy(machine().shared(machine().self().block, address, 4), &value, 4);
}
inline uint4 load_shared_16(uint32_t address) {
  uint4 value{};
  std::memcpy(&value, machine().shared(machine().self().block, address, 16), 16);
  return value;
}
inline uint4 load_shared_16_at(uint32_t address, uint32_t rank) {
  uint4 value{};
  std::memcpy(&value, machine().shared(rank, address, 16), 16);
  return value;
}
inline uint2 load_shared_8(uint32_t address) {
  uint2 value{};
  std::memcpy(&value, machine().shared(machine().self().block, address, 8), 8);
  return value;
}
inline void store_shared_16(uint32_t address, uint4 value) {
  std::memcpy(machine().shared(machine().self().block, address, 16), &value, 16);
}

inline void barrier_init(uint32_t barrier, uint32_t arrivals) {
  machine().shared(machine().self().block, barrier, 8);
  machine().block().barriers[barrier] = {.arrivals = arrivals, .missing = arrivals};
}
inline void fence_barrier_init() {}
inline void barrier_arrive(uint32_t barrier) { machine().arrive(machine().self().block, barrier); }
inline void barrier_arrive_at(uint32_t barrier, uint32_t rank) { machine().arrive(rank, barrier); }
inline void barrier_expect(uint32_t barrier, uint32_t bytes) {
  machine().barrier(machine().self().block, barrier).bytes += bytes;
  machine().arrive(machine().self().block, barrier);
}
inline void barrier_wait(uint32_t barrier, uint32_t parity) {
  const emulated::Barrier& b = machine().barrier(machine().self().block, barrier);
  machine().wait_until([&] { return b.phase % 2 != parity; });
}

struct RingPlace {
  uint32_t stage = 0;
  uint32_t parity = 0;
  template <uint32_t kStages>
  void advance() {
    if (++stage == kStages) {
      stage = 0;
      parity ^= 1U;
    }
  }
};

constexpr uint64_t kKeepNormal = 0;
constexpr uint64_t kKeepShort = 0;
constexpr uint64_t kKeepLong = 0;
inline void prefetch_map(const TensorMap*) {}
inline void load_2d(uint32_t to, const TensorMap* map, int32_t x, int32_t y, uint32_t barrier, uint64_t) {
  machine().copy_later({to, map, x, y, 0, barrier, 1U << machine().self().block});
}
inline void load_3d(uint32_t to, const TensorMap* map, int32_t x, int32_t y, int32_t z, uint32_t barrier, uint64_t) {
  machine().copy_later({to, map, x, y, z, barrier, 1U << machine().self().block});
}
inline void load_2d_multicast(uint32_t to, const TensorMap* map, int32_t x, int32_t y, uint32_t barrier,
                              uint16_t blocks, uint64_t) {
  machine().copy_later({to, map, x, y, 0, barrier, blocks});
}
inline void store_2d(const TensorMap* map, int32_t x, int32_t y, uint32_t from) {
  machine().self().stores.push_back({map, x, y, from});
}
inline void add_2d(const TensorMap* map, int32_t x, int32_t y, uint32_t from) {
  machine().self().stores.push_back({map, x, y, from, true});
}
template <int kPending>
void wait_stores_read() {
  emulated::finish_stores(kPending);
}
inline void wait_stores() { emulated::finish_stores(0); }

inline void fence_async_shared() {}
inline void sync_named(uint32_t barrier, uint32_t threads) {
  machine().meet(machine().block().named.at(barrier), threads);
}
inline void arrive_named(uint32_t barrier, uint32_t threads) {
  emulated::Machine::arrive(machine().block().named.at(barrier), threads);
}
inline uint32_t cluster_rank() { return machine().self().block; }
inline void sync_cluster() { machine().meet_cluster(); }
inline void wait_for_previous_kernel() {}
inline void let_next_kernel_start() {}
template <int>
void take_registers() {}
template <int>
void give_registers() {}

inline void store_matrices(uint32_t to, uint32_t m0, uint32_t m1, uint32_t m2, uint32_t m3) {
  emulated::Thread& self = machine().self();
  self.shown[0] = to;
  machine().meet_warp();
  const uint32_t lane = self.place.thread.x % emulated::kLanes;
  const uint32_t matrices[4] = {m0, m1, m2, m3};
  for (uint32_t i = 0; i < 4; ++i) store_shared(machine().lane(i * 8 + lane / 4).shown[0] + lane % 4 * 4, matrices[i]);
  machine().meet_warp();
}

inline void store_matrices_transposed(uint32_t to, uint32_t m0, uint32_t m1, uint32_t m2, uint32_t m3) {
  emulated::Thread& self = machine().self();
  self.shown[0] = to;
  machine().meet_warp();
  const uint32_t lane = self.place.thread.x % emulated::kLanes;
  const uint32_t matrices[4] = {m0, m1, m2, m3};
  for (uint32_t i = 0; i < 4; ++i) {
    for (uint32_t odd = 0; odd < 2; ++odd) {
      const auto value = static_cast<uint16_t>(matrices[i] >> (16 * odd));
      const uint32_t row = machine().lane(i * 8 + lane % 4 * 2 + odd).shown[0];
      std::memcpy(machine().shared(self.block, row + lane / 4 * 2, 2), &value, 2);
    }
  }
  machine().meet_warp();
}

inline uint16_t to_bf16(float value) { return f32_to_bf16(value); }
inline float from_bf16(uint16_t value) { return bf16_to_f32(value); }
inline uint32_t pack_bf16(float low, float high) {
  return f32_to_bf16(low) | static_cast<uint32_t>(f32_to_bf16(high)) << 16U;
}
inline float from_f16(uint16_t bits) { return f16_to_f32(bits); }
inline uint32_t and_xor(uint32_t bits, uint32_t mask, uint32_t turned) { return (bits & mask) ^ turned; }
inline uint32_t fma_bf16x2(uint32_t a, uint32_t b, uint32_t c) {
  const auto half = [&](unsigned shift) {
    const auto of = [&](uint32_t pair) { return bf16_to_f32(static_cast<uint16_t>(pair >> shift)); };
    return std::fma(of(a), of(b), of(c));
  };
  return pack_bf16(half(0), half(16));
}
inline uint32_t mul_bf16x2(uint32_t a, uint32_t b) { return fma_bf16x2(a, b, 0x80008000U); }
inline float power_of_two(float exponent) { return std::exp2(exponent); }

// --- wgmma.cuh ---

inline void wgmma_begin() {}
inline void wgmma_commit() {
  emulated::Thread& self = machine().self();
  self.groups.push_back(std::move(self.open));
  self.open.clear();
}
template <int kPending>
void wgmma_wait() {
  emulated::finish_groups(kPending);
}
template <class T>
void wgmma_pin(T&) {}

template <int kRegisters>
void wgmma_bf16(float (&d)[kRegisters], uint64_t a, uint64_t b, int32_t accumulate) {
  emulated::start({emulated::Product::kBf16, d, kRegisters, a, b, nullptr, accumulate != 0});
}
template <int kRegisters>
void wgmma_fp8(float (&d)[kRegisters], uint64_t a, uint64_t b, int32_t accumulate) {
  emulated::start({emulated::Product::kE4m3, d, kRegisters, a, b, nullptr, accumulate != 0});
}
template <int kRegisters>
void wgmma_int8(int32_t (&d)[kRegisters], uint64_t a, uint64_t b, int32_t accumulate) {
  emulated::start({emulated::Product::kInt8, d, kRegisters, a, b, nullptr, accumulate != 0});
}
template <int kRegisters>
void wgmma_bf16_a_registers(float (&d)[kRegisters], const uint32_t (&a)[4], uint64_t b, int32_t accumulate) {
  emulated::start({emulated::Product::kBf16Registers, d, kRegisters, 0, b, a, accumulate != 0});
}

template <int kRegisters>
void wgmma_bf16_a_k_major(float (&d)[kRegisters], const uint32_t (&a)[4], uint64_t b, int32_t accumulate) {
  emulated::start({emulated::Product::kBf16RegistersK, d, kRegisters, 0, b, a, accumulate != 0});
}

}  // namespace cove::cuda::hopper
