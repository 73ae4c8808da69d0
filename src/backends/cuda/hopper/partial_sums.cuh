#pragma once
// A tile whose K is divided over several blocks: each leaves its sums in device memory, and the one that finishes last
// adds all of them, in the order of the parts, so that the result does not depend on who was last. Nobody waits for
// anybody. Called by the 256 consumer threads of a block; a thread's registers keep their order, so that the layout in
// memory is [register / 4][thread][4] and every access is 16 bytes wide and coalesced.

#include <cstdint>

#include "backends/cuda/hopper/device.cuh"

namespace cove::cuda::hopper {

struct PartialTile {
  float* sums;        // slots of kRegisters * 256 words, f32 or int32
  uint32_t* counter;  // of this tile; zero before and after
  uint32_t mailbox;   // a word of shared memory
  int32_t first_slot;
  int32_t slot_step;  // part p lies in slot first_slot + p * slot_step; see slot_of for the exception
  int32_t own;        // this block's part
  int32_t parts;
  int32_t first_part_shift = 0;  // added to the slot of part 0
  __device__ __forceinline__ int32_t slot_of(int32_t part) const {
    return first_slot + part * slot_step + (part == 0 ? first_part_shift : 0);
  }
};

template <class Sum, int kRegisters>
__device__ __forceinline__ int4* slot_address(float* sums, int32_t slot) {
  static_assert(sizeof(Sum) == 4);
  const int64_t words = static_cast<int64_t>(slot) * kRegisters * 256;
  return reinterpret_cast<int4*>(sums + words) + (threadIdx.x - 128);
}

__device__ __forceinline__ float from_bits(float, int32_t bits) { return __int_as_float(bits); }
__device__ __forceinline__ int32_t from_bits(int32_t, int32_t bits) { return bits; }
__device__ __forceinline__ int32_t to_bits(float value) { return __float_as_int(value); }
__device__ __forceinline__ int32_t to_bits(int32_t value) { return value; }

// A tile of two parts: true if the other is there already and has been added to sums, which need not be left then. The
// sum of two does not depend on their order.
template <class Sum, int kRegisters>
__device__ __forceinline__ bool add_other_part(const PartialTile& tile, Sum (&sums)[kRegisters]) {
  if (threadIdx.x == 128) {
    store_shared(tile.mailbox, atomicAdd(tile.counter, 0U));
    __threadfence();  // the count, before the other's sums are read
  }
  sync_named(1, 256);
  const bool there = load_shared(tile.mailbox) == 1;
  sync_named(1, 256);  // the count is read by all before another is written
  if (!there) return false;
  if (threadIdx.x == 128) *tile.counter = 0;
  const int4* from = slot_address<Sum, kRegisters>(tile.sums, tile.slot_of(1 - tile.own));
  constexpr int kBatch = kRegisters < 32 ? kRegisters / 4 : 8;  // loads in flight
  COVE_UNROLL
  for (int first = 0; first < kRegisters / 4; first += kBatch) {
    int4 bits[kBatch];
    COVE_UNROLL
    for (int i = 0; i < kBatch; ++i) bits[i] = __ldcg(from + (first + i) * 256);
    COVE_UNROLL
    for (int i = 0; i < kBatch; ++i) {
      sums[4 * (first + i)] += from_bits(Sum{}, bits[i].x);
      sums[4 * (first + i) + 1] += from_bits(Sum{}, bits[i].y);
      sums[4 * (first + i) + 2] += from_bits(Sum{}, bits[i].z);
      sums[4 * (first + i) + 3] += from_bits(Sum{}, bits[i].w);
    }
  }
  return true;
}

// True for the block that finished last: sums are then the whole tile's.
template <class Sum, int kRegisters>
__device__ __forceinline__ bool add_partial_sums(const PartialTile& tile, Sum (&sums)[kRegisters]) {
  int4* own = slot_address<Sum, kRegisters>(tile.sums, tile.slot_of(tile.own));
  COVE_UNROLL
  for (int i = 0; i < kRegisters / 4; ++i) {
    __stcg(own + i * 256, make_int4(to_bits(sums[4 * i]), to_bits(sums[4 * i + 1]), to_bits(sums[4 * i + 2]),
                                    to_bits(sums[4 * i + 3])));
  }
  __threadfence();     // the sums, before the count says so
  sync_named(1, 256);  // of all threads
  if (threadIdx.x == 128) {
    store_shared(tile.mailbox, atomicAdd(tile.counter, 1U));
    __threadfence();  // the count, before the others' sums are read
  }
  sync_named(1, 256);
  const bool last = load_shared(tile.mailbox) == static_cast<uint32_t>(tile.parts - 1);
  sync_named(1, 256);  // the count is read by all before the next tile writes it
  if (!last) return false;
  if (threadIdx.x == 128) *tile.counter = 0;
  constexpr int kBatch = kRegisters < 32 ? kRegisters / 4 : 8;  // loads in flight
  COVE_UNROLL
  for (int first = 0; first < kRegisters / 4; first += kBatch) {
    Sum total[4 * kBatch] = {};
    for (int32_t part = 0; part < tile.parts; ++part) {
      const int4* from = slot_address<Sum, kRegisters>(tile.sums, tile.slot_of(part));
      int4 bits[kBatch];
      COVE_UNROLL
      for (int i = 0; i < kBatch; ++i) bits[i] = __ldcg(from + (first + i) * 256);
      COVE_UNROLL
      for (int i = 0; i < kBatch; ++i) {
        total[4 * i] += from_bits(Sum{}, bits[i].x);
        total[4 * i + 1] += from_bits(Sum{}, bits[i].y);
        total[4 * i + 2] += from_bits(Sum{}, bits[i].z);
        total[4 * i + 3] += from_bits(Sum{}, bits[i].w);
      }
    }
    COVE_UNROLL
    for (int i = 0; i < 4 * kBatch; ++i) sums[4 * first + i] = total[i];
  }
  return true;
}

}  // namespace cove::cuda::hopper
