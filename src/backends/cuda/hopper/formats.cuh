#pragma once
// What differs between the formats of a matrix product: elements per 128-byte row, the sum's type, the instruction, and
// how often sums are taken out of the tensor cores.

#include <cstdint>

#include "backends/cuda/hopper/device.cuh"
#include "backends/cuda/hopper/plan/layout.h"

namespace cove::cuda::hopper {

struct Bf16 {
  using Sum = float;
  static constexpr int kBlockK = 64;
  static constexpr bool kPromotes = false;
  static constexpr bool kScaled = false;
  template <int kRegisters>
  __device__ static __forceinline__ void multiply(float (&d)[kRegisters], uint64_t a, uint64_t b, int32_t accumulate) {
    wgmma_bf16(d, a, b, accumulate);
  }
};

// The tensor cores add e4m3 products with about 14 bits: over a long K the small ones are lost. So a stretch of K is
// summed there, and the stretches in f32: for few tokens blocks of 128, for many kIntervalBlocks of them.
struct E4m3 {
  using Sum = float;
  static constexpr int kBlockK = 128;
  static constexpr int kIntervalBlocks = 4;
  static constexpr bool kPromotes = true;
  static constexpr bool kScaled = true;
  template <int kRegisters>
  __device__ static __forceinline__ void multiply(float (&d)[kRegisters], uint64_t a, uint64_t b, int32_t accumulate) {
    wgmma_fp8(d, a, b, accumulate);
  }
};

struct Int8 {
  using Sum = int32_t;
  static constexpr int kBlockK = 128;
  static constexpr bool kPromotes = false;
  static constexpr bool kScaled = true;
  template <int kRegisters>
  __device__ static __forceinline__ void multiply(int32_t (&d)[kRegisters], uint64_t a, uint64_t b,
                                                  int32_t accumulate) {
    wgmma_int8(d, a, b, accumulate);
  }
};

constexpr int kStepsPerBlock = 4;  // wgmma instructions along a 128-byte row

template <class T, int kCount>
__device__ __forceinline__ void pin_all(T (&registers)[kCount]) {
  COVE_UNROLL
  for (int i = 0; i < kCount; ++i) wgmma_pin(registers[i]);
}
template <class T, int kCount>
__device__ __forceinline__ void set_zero(T (&registers)[kCount]) {
  COVE_UNROLL
  for (int i = 0; i < kCount; ++i) registers[i] = 0;
}

// sums += A B^T over one block of K, left running: wgmma_wait before the sums or the operands are touched.
template <class Format, int kRegisters>
__device__ __forceinline__ void start_block(typename Format::Sum (&sums)[kRegisters], uint64_t a, uint64_t b) {
  wgmma_begin();
  COVE_UNROLL
  for (int step = 0; step < kStepsPerBlock; ++step) {
    Format::multiply(sums, a + step * kNextStepK, b + step * kNextStepK, 1);
  }
  wgmma_commit();
}

// sums += A B^T over one block of K, through fresh registers; done when it returns.
template <class Format, int kRegisters>
__device__ __forceinline__ void add_block(float (&sums)[kRegisters], uint64_t a, uint64_t b) {
  float block[kRegisters];  // the first step overwrites it
  wgmma_begin();
  COVE_UNROLL
  for (int step = 0; step < kStepsPerBlock; ++step) {
    Format::multiply(block, a + step * kNextStepK, b + step * kNextStepK, step > 0 ? 1 : 0);
  }
  wgmma_commit();
  wgmma_wait<0>();
  pin_all(block);
  COVE_UNROLL
  for (int i = 0; i < kRegisters; ++i) sums[i] += block[i];
}

// What is summed so far, less the sums themselves: the upper halves of two f32 a word. The sums keep the rest, and the
// tensor cores go on adding to them: nothing is lost, total = kept + sums, as in f32. Of a word's second value the
// lower half is the first one's, which does no harm: what is added is what was subtracted.
template <int kRegisters>
struct KeptSums {
  uint32_t words[kRegisters / 2];

  __device__ __forceinline__ float first(int pair) const { return __uint_as_float(words[pair] << 16U); }
  __device__ __forceinline__ float second(int pair) const { return __uint_as_float(words[pair]); }

  __device__ __forceinline__ void set_zero() {
    COVE_UNROLL
    for (int pair = 0; pair < kRegisters / 2; ++pair) words[pair] = 0;
  }
  __device__ __forceinline__ void add_to(float (&sums)[kRegisters]) const {
    COVE_UNROLL
    for (int pair = 0; pair < kRegisters / 2; ++pair) {
      sums[2 * pair] += first(pair);
      sums[2 * pair + 1] += second(pair);
    }
  }
  // The sums become what the upper halves of the totals leave: below 1/128 of them.
  __device__ __forceinline__ void take(float (&sums)[kRegisters]) {
    add_to(sums);
    COVE_UNROLL
    for (int pair = 0; pair < kRegisters / 2; ++pair) {
      words[pair] = __byte_perm(__float_as_uint(sums[2 * pair]), __float_as_uint(sums[2 * pair + 1]), 0x7632);
      sums[2 * pair] -= first(pair);
      sums[2 * pair + 1] -= second(pair);
    }
  }
};
struct NothingKept {
  __device__ __forceinline__ void set_zero() {}
};

}  // namespace cove::cuda::hopper
