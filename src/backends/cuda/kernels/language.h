#pragma once
// The words kernels are written in: launches, barriers, shuffles, matrix and copy instructions. Compiled by nvcc they
// are the GPU's own; compiled by a C++ compiler with COVE_CUDA_EMULATED they run in the emulator (cuda/emulator), so
// that tests execute the very kernels that ship. Included by kernels/*.cu only.
//
// A warp operation is called by all 32 lanes of a warp. sm_80 is the oldest architecture.

#include <cstdint>
#include <cstring>

#if defined(COVE_CUDA_EMULATED)

#include <bit>
#include <cmath>

#include "backends/cuda/emulator/block.h"
#include "tensor/formats/float16.h"

#define __global__
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define threadIdx (::cove::cuda::emulated::place().thread)
#define blockIdx (::cove::cuda::emulated::place().block)
#define blockDim (::cove::cuda::emulated::place().block_dim)
#define gridDim (::cove::cuda::emulated::place().grid_dim)

#else

#include <cuda_fp16.h>
#include <cuda_runtime.h>

#endif

namespace cove::cuda {

struct LaunchShape {
  unsigned grid_x = 1;
  unsigned grid_y = 1;
  unsigned grid_z = 1;
  unsigned threads = 32;
  size_t shared_bytes = 0;
};

namespace dev {

// 16 bytes, moved at once.
struct alignas(16) Vec4 {
  uint32_t x, y, z, w;
};
struct alignas(8) Vec2 {
  uint32_t x, y;
};

constexpr float kMinusInfinity = -__builtin_huge_valf();

#if defined(COVE_CUDA_EMULATED)

inline void block_sync() { emulated::block_barrier(); }
inline void warp_sync() {
  const char nothing = 0;
  emulated::warp_exchange(&nothing, 1);
}
inline int lane() { return emulated::lane(); }
inline void thread_fence() {}
inline void wait_for_previous_kernel() {}
inline void let_next_kernel_start() {}
inline unsigned char* shared_memory() { return reinterpret_cast<unsigned char*>(emulated::dynamic_shared()); }

template <class T>
inline T shuffle(T value, int from) {
  T result;
  std::memcpy(&result, emulated::warp_exchange(&value, sizeof(T)) + static_cast<size_t>(from & 31) * sizeof(T),
              sizeof(T));
  return result;
}
template <class T>
inline T shuffle_xor(T value, int mask) {
  return shuffle(value, lane() ^ mask);
}
inline bool any_lane(bool value) {
  const char in = value ? 1 : 0;
  const std::byte* table = emulated::warp_exchange(&in, 1);
  for (int i = 0; i < 32; ++i) {
    if (table[i] != std::byte{0}) return true;
  }
  return false;
}
// Bit i: what lane i says.
inline uint32_t lane_mask(bool value) {
  const char in = value ? 1 : 0;
  const std::byte* table = emulated::warp_exchange(&in, 1);
  uint32_t mask = 0;
  for (unsigned i = 0; i < 32; ++i) mask |= table[i] != std::byte{0} ? 1U << i : 0U;
  return mask;
}
inline int count_bits(uint32_t bits) { return std::popcount(bits); }
inline int lowest_bit(uint32_t bits) { return std::countr_zero(bits); }  // of bits != 0

inline uint16_t to_bf16(float value) { return f32_to_bf16(value); }
inline float from_bf16(uint16_t value) { return bf16_to_f32(value); }
inline uint32_t pack_bf16(float low, float high) {
  return f32_to_bf16(low) | static_cast<uint32_t>(f32_to_bf16(high)) << 16;
}
inline float from_f16(uint16_t value) { return f16_to_f32(value); }
inline uint16_t to_f16(float value) { return f32_to_f16(value); }
inline uint32_t pack_f16(float low, float high) {
  return f32_to_f16(low) | static_cast<uint32_t>(f32_to_f16(high)) << 16;
}
// Two e4m3 values in the low 16 bits, as a pair of f16 (exact; NaN is NaN).
inline uint32_t e4m3_pair_to_f16(uint32_t pair) {
  uint32_t halves = 0;
  for (int i = 0; i < 2; ++i) {
    const uint32_t byte = pair >> (8 * i) & 0xff;
    const auto shifted = static_cast<uint16_t>((byte & 0x80) << 8 | (byte & 0x7f) << 7);  // 2^8 too small
    const uint32_t half = (byte & 0x7f) == 0x7f ? 0x7fffU : f32_to_f16(f16_to_f32(shifted) * 256.0F);
    halves |= half << (16 * i);
  }
  return halves;
}
inline void e4m3_word_to_f16(uint32_t word, uint32_t& low, uint32_t& high) {
  low = e4m3_pair_to_f16(word);
  high = e4m3_pair_to_f16(word >> 16);
}
inline uint32_t mul_bf16x2(uint32_t a, uint32_t b) {
  return pack_bf16(from_bf16(static_cast<uint16_t>(a)) * from_bf16(static_cast<uint16_t>(b)),
                   from_bf16(static_cast<uint16_t>(a >> 16)) * from_bf16(static_cast<uint16_t>(b >> 16)));
}
inline uint32_t sub_bf16x2(uint32_t a, uint32_t b) {
  return pack_bf16(from_bf16(static_cast<uint16_t>(a)) - from_bf16(static_cast<uint16_t>(b)),
                   from_bf16(static_cast<uint16_t>(a >> 16)) - from_bf16(static_cast<uint16_t>(b >> 16)));
}
inline float bits_to_float(uint32_t bits) { return std::bit_cast<float>(bits); }
inline uint32_t float_to_bits(float value) { return std::bit_cast<uint32_t>(value); }
inline float exp2_fast(float x) { return std::exp2(x); }
inline float exp_fast(float x) { return std::exp(x); }
inline float reciprocal_sqrt(float x) { return 1.0F / std::sqrt(x); }
inline void sine_cosine(float angle, float& sine, float& cosine) {
  sine = std::sin(angle);
  cosine = std::cos(angle);
}
inline float round_nearest(float x) { return std::nearbyint(x); }
inline float larger(float a, float b) { return a > b ? a : b; }
inline float maximum(float a, float b) { return std::fmax(a, b); }  // of a number and a NaN the number
inline float fused(float a, float b, float c) { return std::fma(a, b, c); }

// Byte i of the result is byte (selector >> 4 i) & 7 of the eight bytes of (high, low).
inline uint32_t byte_permute(uint32_t low, uint32_t high, uint32_t selector) {
  const uint64_t both = static_cast<uint64_t>(high) << 32 | low;
  uint32_t result = 0;
  for (unsigned i = 0; i < 4; ++i) {
    result |= static_cast<uint32_t>((both >> (8 * (selector >> (4 * i) & 7))) & 0xff) << (8 * i);
  }
  return result;
}

// (a & mask) | bits
template <uint32_t kMask>
inline uint32_t and_or(uint32_t a, uint32_t bits) {
  return (a & kMask) | bits;
}

inline Vec4 load_stream(const void* at) {
  Vec4 value;
  std::memcpy(&value, __builtin_assume_aligned(at, 16), 16);
  return value;
}

inline unsigned atomic_add(unsigned* at, unsigned value) {
  const unsigned old = *at;
  *at += value;
  return old;
}
inline uint64_t atomic_add(uint64_t* at, uint64_t value) {
  const uint64_t old = *at;
  *at += value;
  return old;
}

// c += a b for a 16x8 tile. Lane L = 4 g + t holds: of a (16x16, rows) a0 = row g, columns 2t, 2t+1; a1 = row g + 8;
// a2, a3 = those rows, columns 2t + 8, 2t + 9; of b (16x8) b0 = column g, rows 2t, 2t+1; b1 = rows 2t + 8, 2t + 9; of
// c: c0, c1 = row g, columns 2t, 2t+1; c2, c3 = row g + 8.
template <float (*kValue)(uint16_t)>
inline void mma_emulated(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  struct Fragment {
    uint32_t a[4];
    uint32_t b[2];
  };
  Fragment mine = {{a[0], a[1], a[2], a[3]}, {b[0], b[1]}};
  const auto* table = reinterpret_cast<const Fragment*>(emulated::warp_exchange(&mine, sizeof(mine)));
  const int g = lane() / 4;
  const int t = lane() % 4;
  for (int i = 0; i < 4; ++i) {
    const int column = 2 * t + i % 2;
    double sum = 0;
    for (int quad = 0; quad < 4; ++quad) {
      const Fragment& row = table[4 * g + quad];
      const Fragment& other = table[4 * column + quad];
      for (int part = 0; part < 2; ++part) {
        const uint32_t left = row.a[i / 2 + 2 * part];
        const uint32_t right = other.b[part];
        sum += static_cast<double>(kValue(static_cast<uint16_t>(left))) * kValue(static_cast<uint16_t>(right));
        sum +=
            static_cast<double>(kValue(static_cast<uint16_t>(left >> 16))) * kValue(static_cast<uint16_t>(right >> 16));
      }
    }
    c[i] = static_cast<float>(c[i] + sum);
  }
}
inline void mma_bf16(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  mma_emulated<from_bf16>(c, a, b);
}
inline void mma_f16(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) { mma_emulated<from_f16>(c, a, b); }

// Four 8x8 matrices of 16-bit values from shared memory: lanes 8 j .. 8 j + 7 name the rows of matrix j (16 bytes each,
// aligned). Lane 4 g + t gets of each row g, columns 2t, 2t+1; transposed: rows 2t, 2t+1 of column g.
inline void load_matrices(uint32_t (&r)[4], const void* row) {
  const auto* rows = reinterpret_cast<const unsigned char* const*>(emulated::warp_exchange(&row, sizeof(row)));
  for (int j = 0; j < 4; ++j) std::memcpy(&r[j], rows[8 * j + lane() / 4] + lane() % 4 * 4, 4);
}
inline void load_matrices_transposed(uint32_t (&r)[4], const void* row) {
  const auto* rows = reinterpret_cast<const unsigned char* const*>(emulated::warp_exchange(&row, sizeof(row)));
  for (int j = 0; j < 4; ++j) {
    uint16_t pair[2];
    for (int i = 0; i < 2; ++i) std::memcpy(&pair[i], rows[8 * j + lane() % 4 * 2 + i] + lane() / 4 * 2, 2);
    r[j] = pair[0] | static_cast<uint32_t>(pair[1]) << 16;
  }
}

// 16 bytes from device to shared memory; those beyond `valid` (0 or 16) are zeros and not read. There after
// copy_wait().
inline void copy_async(void* to, const void* from, bool valid) {
  emulated::async_copy(__builtin_assume_aligned(to, 16), __builtin_assume_aligned(from, 16), valid ? 16 : 0,
                       valid ? 0 : 16);
}
// Shared memory by address: shorter code than pointers.
using SharedAt = unsigned char*;
inline SharedAt shared_at(void* at) { return static_cast<unsigned char*>(at); }
inline Vec4 load_shared_16(SharedAt at) { return *reinterpret_cast<const Vec4*>(__builtin_assume_aligned(at, 16)); }
template <int kWords>
inline void load_shared_words(SharedAt at, uint32_t (&words)[kWords]) {
  std::memcpy(words, at, sizeof(words));
}
// Zeros, and `from` is not read, unless it is there.
inline void copy_async_at(SharedAt to, const void* from, bool there) {
  emulated::async_copy(to, from, there ? 16 : 0, there ? 0 : 16);
}
// 4, 8 or 16 bytes, aligned as they are long.
template <int kBytes>
inline void copy_async_small(SharedAt to, const void* from, bool there) {
  emulated::async_copy(to, from, there ? kBytes : 0, there ? 0 : kBytes);
}
inline void copy_commit() { emulated::async_commit(); }
template <int kGroupsLeft>
inline void copy_wait() {
  emulated::async_wait(kGroupsLeft);
}

#else  // nvcc

__device__ __forceinline__ void block_sync() { __syncthreads(); }
__device__ __forceinline__ void warp_sync() { __syncwarp(); }
__device__ __forceinline__ int lane() { return static_cast<int>(threadIdx.x & 31); }
__device__ __forceinline__ void thread_fence() { __threadfence(); }
// From sm_90 on a kernel may start while the one before it in the stream runs. Before it reads or writes anything that
// an earlier kernel of a step touches, every thread waits; weights never change, so that their loads may come first.
// Every kernel waits, so that a kernel that has waited knows all before it to have ended, not only the last.
__device__ __forceinline__ void wait_for_previous_kernel() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}
// The next kernel's blocks may take what this kernel's leave free once all blocks of this one are running.
__device__ __forceinline__ void let_next_kernel_start() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}
__device__ __forceinline__ unsigned char* shared_memory() {
  extern __shared__ __align__(128) unsigned char cove_dynamic_shared[];
  return cove_dynamic_shared;
}

template <class T>
__device__ __forceinline__ T shuffle(T value, int from) {
  return __shfl_sync(0xffffffffU, value, from);
}
template <class T>
__device__ __forceinline__ T shuffle_xor(T value, int mask) {
  return __shfl_xor_sync(0xffffffffU, value, mask);
}
__device__ __forceinline__ bool any_lane(bool value) { return __any_sync(0xffffffffU, value) != 0; }
__device__ __forceinline__ uint32_t lane_mask(bool value) { return __ballot_sync(0xffffffffU, value); }
__device__ __forceinline__ int count_bits(uint32_t bits) { return __popc(bits); }
__device__ __forceinline__ int lowest_bit(uint32_t bits) { return __ffs(static_cast<int>(bits)) - 1; }

__device__ __forceinline__ float bits_to_float(uint32_t bits) { return __uint_as_float(bits); }
__device__ __forceinline__ uint32_t float_to_bits(float value) { return __float_as_uint(value); }
__device__ __forceinline__ uint32_t pack_bf16(float low, float high) {
  uint32_t packed;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
  return packed;
}
__device__ __forceinline__ uint16_t to_bf16(float value) { return static_cast<uint16_t>(pack_bf16(value, 0.0F)); }
__device__ __forceinline__ float from_bf16(uint16_t value) {
  return __uint_as_float(static_cast<uint32_t>(value) << 16);
}
__device__ __forceinline__ float from_f16(uint16_t value) { return __half2float(__ushort_as_half(value)); }
__device__ __forceinline__ uint16_t to_f16(float value) { return __half_as_ushort(__float2half_rn(value)); }
__device__ __forceinline__ uint32_t pack_f16(float low, float high) {
  uint32_t packed;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
  return packed;
}
__device__ __forceinline__ uint32_t e4m3_pair_to_f16(uint32_t pair) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 890
  uint32_t halves;
  asm("cvt.rn.f16x2.e4m3x2 %0, %1;" : "=r"(halves) : "h"(static_cast<uint16_t>(pair)));
  return halves;
#else
  const uint32_t high = __byte_perm(pair, 0, 0x1404U);                        // each byte in the upper half of 16 bits
  const uint32_t small = (high & 0x80008000U) | ((high >> 1) & 0x3F803F80U);  // 2^8 too small
  uint32_t halves;
  asm("mul.rn.f16x2 %0, %1, %2;" : "=r"(halves) : "r"(small), "r"(0x5C005C00U));
  const uint32_t nan = ((small & 0x7FFF7FFFU) + 0x40804080U) & 0x80008000U;  // in the sign's place: of the largest code
  return halves | (nan - (nan >> 10));
#endif
}
// Four; spares the shift, as the instruction takes either half of a register.
__device__ __forceinline__ void e4m3_word_to_f16(uint32_t word, uint32_t& low, uint32_t& high) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 890
  asm("{\n.reg .b16 l, h;\nmov.b32 {l, h}, %2;\ncvt.rn.f16x2.e4m3x2 %0, l;\ncvt.rn.f16x2.e4m3x2 %1, h;\n}"
      : "=r"(low), "=r"(high)
      : "r"(word));
#else
  low = e4m3_pair_to_f16(word);
  high = e4m3_pair_to_f16(word >> 16);
#endif
}
__device__ __forceinline__ uint32_t mul_bf16x2(uint32_t a, uint32_t b) {
  uint32_t result;  // sm_80 has no multiplication alone; adding -0 changes nothing
  asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(result) : "r"(a), "r"(b), "r"(0x80008000U));
  return result;
}
__device__ __forceinline__ uint32_t sub_bf16x2(uint32_t a, uint32_t b) {
  uint32_t result;  // -1 b + a
  asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(result) : "r"(b), "r"(0xbf80bf80U), "r"(a));
  return result;
}
__device__ __forceinline__ float exp2_fast(float x) {
  float result;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(x));
  return result;
}
__device__ __forceinline__ float exp_fast(float x) { return expf(x); }
__device__ __forceinline__ float reciprocal_sqrt(float x) { return 1.0F / sqrtf(x); }
__device__ __forceinline__ void sine_cosine(float angle, float& sine, float& cosine) { sincosf(angle, &sine, &cosine); }
__device__ __forceinline__ float round_nearest(float x) { return rintf(x); }
__device__ __forceinline__ float larger(float a, float b) { return a > b ? a : b; }
__device__ __forceinline__ float maximum(float a, float b) { return fmaxf(a, b); }
__device__ __forceinline__ float fused(float a, float b, float c) { return fmaf(a, b, c); }
__device__ __forceinline__ uint32_t byte_permute(uint32_t low, uint32_t high, uint32_t selector) {
  return __byte_perm(low, high, selector);
}

// One instruction where `bits` is in a register; of two constants the compiler makes two.
template <uint32_t kMask>
__device__ __forceinline__ uint32_t and_or(uint32_t a, uint32_t bits) {
  uint32_t result;
  asm("lop3.b32 %0, %1, %2, %3, 0xEA;" : "=r"(result) : "r"(a), "n"(kMask), "r"(bits));
  return result;
}

// Data that is read once: not kept in L1.
__device__ __forceinline__ Vec4 load_stream(const void* at) {
  Vec4 v;
  asm volatile("ld.global.nc.L1::no_allocate.L2::128B.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
               : "l"(at));
  return v;
}

__device__ __forceinline__ unsigned atomic_add(unsigned* at, unsigned value) { return atomicAdd(at, value); }
__device__ __forceinline__ uint64_t atomic_add(uint64_t* at, uint64_t value) {
  return atomicAdd(reinterpret_cast<unsigned long long*>(at), static_cast<unsigned long long>(value));
}

__device__ __forceinline__ void mma_bf16(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, "
      "%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

__device__ __forceinline__ void mma_f16(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, "
      "%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

__device__ __forceinline__ uint32_t shared_address(const void* at) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(at));
}
__device__ __forceinline__ void load_matrices(uint32_t (&r)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row))
               : "memory");
}
__device__ __forceinline__ void load_matrices_transposed(uint32_t (&r)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row))
               : "memory");
}

__device__ __forceinline__ void copy_async(void* to, const void* from, bool valid) {
  asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16, %2;" ::"r"(shared_address(to)), "l"(from),
               "r"(valid ? 16 : 0)
               : "memory");
}
using SharedAt = uint32_t;
__device__ __forceinline__ SharedAt shared_at(void* at) { return shared_address(at); }
__device__ __forceinline__ Vec4 load_shared_16(SharedAt at) {
  Vec4 v;
  asm volatile("ld.shared.v4.u32 {%0, %1, %2, %3}, [%4];" : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "r"(at));
  return v;
}
template <int kWords>
__device__ __forceinline__ void load_shared_words(SharedAt at, uint32_t (&words)[kWords]) {
  static_assert(kWords == 1 || kWords == 2 || kWords == 4);
  if constexpr (kWords == 4) {
    asm volatile("ld.shared.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(words[0]), "=r"(words[1]), "=r"(words[2]), "=r"(words[3])
                 : "r"(at));
  } else if constexpr (kWords == 2) {
    asm volatile("ld.shared.v2.u32 {%0, %1}, [%2];" : "=r"(words[0]), "=r"(words[1]) : "r"(at));
  } else {
    asm volatile("ld.shared.u32 %0, [%1];" : "=r"(words[0]) : "r"(at));
  }
}
__device__ __forceinline__ void copy_async_at(SharedAt to, const void* from, bool there) {
  asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(there ? 16 : 0)
               : "memory");
}
template <int kBytes>
__device__ __forceinline__ void copy_async_small(SharedAt to, const void* from, bool there) {
  asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(to), "l"(from), "n"(kBytes),
               "r"(there ? kBytes : 0)
               : "memory");
}
__device__ __forceinline__ void copy_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int kGroupsLeft>
__device__ __forceinline__ void copy_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kGroupsLeft) : "memory");
}

#endif

// --- The same for both ---

__device__ __forceinline__ float low_bf16(uint32_t pair) { return bits_to_float(pair << 16); }
__device__ __forceinline__ float high_bf16(uint32_t pair) { return bits_to_float(pair & 0xffff0000U); }

__device__ __forceinline__ float warp_sum(float value) {
  for (int mask = 16; mask > 0; mask /= 2) value += shuffle_xor(value, mask);
  return value;
}
__device__ __forceinline__ float warp_max(float value) {
  for (int mask = 16; mask > 0; mask /= 2) value = larger(value, shuffle_xor(value, mask));
  return value;
}
// Of four neighbouring lanes.
__device__ __forceinline__ float quad_sum(float value) {
  value += shuffle_xor(value, 1);
  return value + shuffle_xor(value, 2);
}
__device__ __forceinline__ float quad_max(float value) {
  value = larger(value, shuffle_xor(value, 1));
  return larger(value, shuffle_xor(value, 2));
}
// Sum over the block, the same for all its threads; `partial` is shared memory for one float per warp. The order of
// additions depends on the number of threads alone.
__device__ __forceinline__ float block_sum(float value, float* partial) {
  const unsigned warps = blockDim.x / 32;
  value = warp_sum(value);
  block_sync();  // partial may still be read from an earlier sum
  if (lane() == 0) partial[threadIdx.x / 32] = value;
  block_sync();
  float sum = 0;
  for (unsigned i = 0; i < warps; ++i) sum += partial[i];
  return sum;
}
__device__ __forceinline__ float block_max(float value, float* partial) {
  const unsigned warps = blockDim.x / 32;
  value = warp_max(value);
  block_sync();
  if (lane() == 0) partial[threadIdx.x / 32] = value;
  block_sync();
  float most = kMinusInfinity;
  for (unsigned i = 0; i < warps; ++i) most = larger(most, partial[i]);
  return most;
}

}  // namespace dev

// block_shared_memory_max: bytes that the current device gives a block at most.
// launch: kernel(arguments) over the shape, on a stream. Null, or the error's text.
#if defined(COVE_CUDA_EMULATED)
inline int64_t block_shared_memory_max() { return emulated::kSharedMax; }

template <class... P, class... A>
const char* launch(const LaunchShape& shape, void*, void (*kernel)(P...), const A&... arguments) {
  emulated::run({.grid = {shape.grid_x, shape.grid_y, shape.grid_z},
                 .block = {shape.threads, 1, 1},
                 .shared_bytes = shape.shared_bytes},
                [&] { kernel(P(arguments)...); });
  return nullptr;
}
#else
inline int64_t block_shared_memory_max() {
  int device = 0;
  int bytes = 0;
  const bool known = cudaGetDevice(&device) == cudaSuccess &&
                     cudaDeviceGetAttribute(&bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device) == cudaSuccess;
  return known ? bytes : 48 << 10;
}

// Whether kernels may start early here (wait_for_previous_kernel). Only where the machine code for 9.0 runs: the code
// for 8.0, which other GPUs get, as it is or compiled by their driver, does not wait.
inline bool starts_early() {
  int device = 0;
  int major = 0;
  return cudaGetDevice(&device) == cudaSuccess &&
         cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device) == cudaSuccess && major == 9;
}

template <class... P, class... A>
const char* launch(const LaunchShape& shape, void* stream, void (*kernel)(P...), const A&... arguments) {
  constexpr size_t kAlwaysThere = 48 << 10;  // of shared memory; more must be asked for
  if (shape.shared_bytes > kAlwaysThere) {
    const cudaError_t error =
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shape.shared_bytes));
    if (error != cudaSuccess) return cudaGetErrorString(error);
  }
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(shape.grid_x, shape.grid_y, shape.grid_z);
  config.blockDim = dim3(shape.threads);
  config.dynamicSmemBytes = shape.shared_bytes;
  config.stream = static_cast<cudaStream_t>(stream);
  cudaLaunchAttribute early = {};
  early.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  early.val.programmaticStreamSerializationAllowed = 1;
  config.attrs = &early;
  config.numAttrs = starts_early() ? 1 : 0;
  const cudaError_t error = cudaLaunchKernelEx(&config, kernel, P(arguments)...);
  return error == cudaSuccess ? nullptr : cudaGetErrorString(error);
}
#endif

}  // namespace cove::cuda
