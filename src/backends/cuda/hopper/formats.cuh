#pragma once
// What differs between the formats of a matrix product: elements per 128-byte row, the sum's type, the instruction, and
// whether sums are taken out of the tensor cores every block of K.

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

// The tensor cores add e4m3 products with about 14 bits: over a long K the small ones are lost. So each block of 128
// is summed there, and the blocks in f32 registers.
struct E4m3 {
  using Sum = float;
  static constexpr int kBlockK = 128;
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

// sums += A B^T over one block of K, through fresh registers, kColumns of B at a time; done when it returns.
template <class Format, int kColumns, int kRegisters>
__device__ __forceinline__ void add_block(float (&sums)[kRegisters], uint64_t a, uint64_t b) {
  constexpr int kPart = kColumns / 2;
  COVE_UNROLL
  for (int part = 0; part < kRegisters / kPart; ++part) {
    float block[kPart];  // the first step overwrites it
    wgmma_begin();
    const uint64_t from = b + part * ((kColumns * kRowBytes) >> 4U);
    COVE_UNROLL
    for (int step = 0; step < kStepsPerBlock; ++step) {
      Format::multiply(block, a + step * kNextStepK, from + step * kNextStepK, step > 0 ? 1 : 0);
    }
    wgmma_commit();
    wgmma_wait<0>();
    pin_all(block);
    COVE_UNROLL
    for (int i = 0; i < kPart; ++i) sums[part * kPart + i] += block[i];
  }
}

}  // namespace cove::cuda::hopper
