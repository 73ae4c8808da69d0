#pragma once
// Arithmetic of RMS norm on pairs of bf16. Included by kernels/*.cu.

#include "backends/cuda/kernels/language.h"

namespace cove::cuda::dev {

__device__ __forceinline__ uint32_t add_pair(uint32_t a, uint32_t b) {
  return pack_bf16(low_bf16(a) + low_bf16(b), high_bf16(a) + high_bf16(b));
}
__device__ __forceinline__ Vec4 add_octet(const Vec4& a, const Vec4& b) {
  return {add_pair(a.x, b.x), add_pair(a.y, b.y), add_pair(a.z, b.z), add_pair(a.w, b.w)};
}

// sum + the squares of the values.
__device__ __forceinline__ float squares(uint32_t pair, float sum) {
  sum = fused(low_bf16(pair), low_bf16(pair), sum);
  return fused(high_bf16(pair), high_bf16(pair), sum);
}
__device__ __forceinline__ float squares(const Vec4& v, float sum) {
  return squares(v.w, squares(v.z, squares(v.y, squares(v.x, sum))));
}

// value * inverse * scale.
__device__ __forceinline__ uint32_t scale_pair(uint32_t pair, float inverse, const float* scale) {
  return pack_bf16(low_bf16(pair) * inverse * scale[0], high_bf16(pair) * inverse * scale[1]);
}
__device__ __forceinline__ Vec4 scale_octet(const Vec4& v, float inverse, const float* scale) {
  return {scale_pair(v.x, inverse, scale), scale_pair(v.y, inverse, scale + 2), scale_pair(v.z, inverse, scale + 4),
          scale_pair(v.w, inverse, scale + 6)};
}

}  // namespace cove::cuda::dev
