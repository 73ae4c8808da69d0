// Activations to e4m3 or int8 with one scale per row: q[t][k] = round(x[t][k] / scale[t]), scale[t] = max_k |x[t][k]| /
// limit, limit 448 or 127. x [tokens][in] bf16, q [tokens][in] one byte each; rows at any pitch (16-byte accesses where
// both pitches and pointers allow). Who: a block a row, its elements kept in registers between the two passes where the
// row fits. Bytes: 3 a value; memory binds. Source: own.

#include <cuda_bf16.h>
#include <cuda_fp8.h>
#include <cuda_runtime_api.h>

#include "backends/cuda/hopper/hopper.h"
#include "backends/cuda/hopper/launch_early.cuh"
#include "backends/cuda/hopper/ptx.cuh"

namespace cove::cuda::hopper {
namespace {

constexpr int kThreads = 256;
constexpr int kVector = 8;    // values of a 16-byte load
constexpr int kHeldMax = 10;  // vectors a thread keeps: rows up to 20 480 are read once

struct RowParams {
  const uint8_t* x;
  int64_t x_pitch;
  uint8_t* out;
  int64_t out_pitch;
  float* scale;
  int32_t in;
};

// The largest of a block's values; NaN if one is.
__device__ __forceinline__ float block_max(float value) {
  __shared__ float of_warp[kThreads / 32];
  const auto larger = [](float a, float b) { return b > a || b != b ? b : a; };
#pragma unroll
  for (int step = 16; step > 0; step /= 2) value = larger(value, __shfl_xor_sync(0xFFFFFFFFU, value, step));
  if (threadIdx.x % 32 == 0) of_warp[threadIdx.x / 32] = value;
  __syncthreads();
  value = of_warp[0];
#pragma unroll
  for (int warp = 1; warp < kThreads / 32; ++warp) value = larger(value, of_warp[warp]);
  return value;
}

template <GemmFormat kFormat>
__device__ __forceinline__ uint8_t rounded(float value) {
  if constexpr (kFormat == GemmFormat::kE4M3) {
    return __nv_cvt_float_to_fp8(value, __NV_SATFINITE, __NV_E4M3);
  } else {
    return static_cast<uint8_t>(static_cast<int8_t>(max(-127, min(127, __float2int_rn(value)))));
  }
}

template <GemmFormat kFormat>
constexpr float kLimit = kFormat == GemmFormat::kE4M3 ? 448.0F : 127.0F;

__device__ __forceinline__ void widen(const uint4& bits, float (&value)[kVector]) {
  const uint32_t words[4] = {bits.x, bits.y, bits.z, bits.w};
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    value[2 * i] = __uint_as_float(words[i] << 16U);
    value[2 * i + 1] = __uint_as_float(words[i] & 0xFFFF0000U);
  }
}

// Max of |value|, NaN if one is.
__device__ __forceinline__ float magnitude(float so_far, float value) {
  const float a = fabsf(value);
  return a > so_far || a != a ? a : so_far;
}

// The smallest scale whose inverse is finite; rows that would need a smaller one are rounded to zeros.
constexpr float kScaleMin = 1e-37F;

// 0 for a row of zeros, and for one with NaN or infinity, whose scale is NaN.
template <GemmFormat kFormat>
__device__ __forceinline__ float inverse_scale(float largest, float* scale_out) {
  float scale = largest / kLimit<kFormat>;
  if (isinf(largest)) scale = __int_as_float(0x7FC00000);
  if (threadIdx.x == 0) *scale_out = scale;
  return scale > kScaleMin ? 1.0F / scale : 0.0F;
}

// For rows of at most kHeld vectors a thread: those of a short row leave room for more blocks at a time.
template <GemmFormat kFormat, int kHeld>
__global__ __launch_bounds__(kThreads) void quantize_vectors_kernel(const RowParams p) {
  let_next_kernel_start();
  wait_for_previous_kernel();
  const int64_t row = blockIdx.x;
  const auto* from = reinterpret_cast<const uint4*>(p.x + row * p.x_pitch);
  auto* to = reinterpret_cast<uint2*>(p.out + row * p.out_pitch);
  const int32_t vectors = p.in / kVector;
  uint4 held[kHeld];
  float largest = 0.0F;
#pragma unroll
  for (int i = 0; i < kHeld; ++i) {
    const int32_t at = static_cast<int32_t>(threadIdx.x) + i * kThreads;
    held[i] = at < vectors ? from[at] : make_uint4(0, 0, 0, 0);
  }
#pragma unroll
  for (int i = 0; i < kHeld; ++i) {
    float value[kVector];
    widen(held[i], value);
#pragma unroll
    for (int j = 0; j < kVector; ++j) largest = magnitude(largest, value[j]);
  }
  const float inverse = inverse_scale<kFormat>(block_max(largest), p.scale + row);
#pragma unroll
  for (int i = 0; i < kHeld; ++i) {
    const int32_t at = static_cast<int32_t>(threadIdx.x) + i * kThreads;
    if (at >= vectors) continue;
    float value[kVector];
    widen(held[i], value);
    uint32_t words[2] = {0, 0};
#pragma unroll
    for (int j = 0; j < kVector; ++j) {
      words[j / 4] |= static_cast<uint32_t>(rounded<kFormat>(value[j] * inverse)) << (j % 4 * 8);
    }
    to[at] = make_uint2(words[0], words[1]);
  }
}

// Any width and alignment; reads the row twice.
template <GemmFormat kFormat>
__global__ __launch_bounds__(kThreads) void quantize_values_kernel(const RowParams p) {
  let_next_kernel_start();
  wait_for_previous_kernel();
  const int64_t row = blockIdx.x;
  const auto* from = reinterpret_cast<const __nv_bfloat16*>(p.x + row * p.x_pitch);
  uint8_t* to = p.out + row * p.out_pitch;
  float largest = 0.0F;
  for (int32_t k = threadIdx.x; k < p.in; k += kThreads) largest = magnitude(largest, __bfloat162float(from[k]));
  const float inverse = inverse_scale<kFormat>(block_max(largest), p.scale + row);
  for (int32_t k = threadIdx.x; k < p.in; k += kThreads) to[k] = rounded<kFormat>(__bfloat162float(from[k]) * inverse);
}

template <GemmFormat kFormat>
const char* launch_rows(const QuantizeArgs& args, cudaStream_t stream) {
  const RowParams params{
      static_cast<const uint8_t*>(args.x), args.x_pitch, static_cast<uint8_t*>(args.out), args.out_pitch, args.scale,
      static_cast<int32_t>(args.in)};
  const auto misaligned = reinterpret_cast<uintptr_t>(args.x) | reinterpret_cast<uintptr_t>(args.out) |
                          static_cast<uintptr_t>(args.x_pitch | args.out_pitch);
  const bool vectors = misaligned % 16 == 0 && args.in % kVector == 0;
  const EarlyLaunch shape{.blocks = static_cast<unsigned>(args.tokens), .threads = kThreads};
  const int64_t held = (args.in / kVector + kThreads - 1) / kThreads;
  if (vectors && held <= 2) return launch_early(quantize_vectors_kernel<kFormat, 2>, shape, stream, params);
  if (vectors && held <= 4) return launch_early(quantize_vectors_kernel<kFormat, 4>, shape, stream, params);
  if (vectors && held <= kHeldMax) {
    return launch_early(quantize_vectors_kernel<kFormat, kHeldMax>, shape, stream, params);
  }
  return launch_early(quantize_values_kernel<kFormat>, shape, stream, params);
}

}  // namespace

const char* launch_quantize_rows(const QuantizeArgs& args, void* stream) {
  if (args.tokens < 1) return nullptr;
  switch (args.format) {
    case GemmFormat::kE4M3: return launch_rows<GemmFormat::kE4M3>(args, static_cast<cudaStream_t>(stream));
    case GemmFormat::kInt8: return launch_rows<GemmFormat::kInt8>(args, static_cast<cudaStream_t>(stream));
    case GemmFormat::kBF16: break;
  }
  return "bf16 activations need no rounding";
}

}  // namespace cove::cuda::hopper
