#pragma once
// What linear kernels do with a finished sum. Included by kernels/*.cu.

#include "backends/cuda/kernels/language.h"
#include "backends/cuda/kernels/linear.h"

namespace cove::cuda::dev {

__device__ __forceinline__ float silu(float x) { return x / (1.0F + exp_fast(-x)); }

// The output that physical row `row` computes; not below `outputs` for padding.
__device__ __forceinline__ int64_t logical_row(const WeightLayout& layout, int64_t row) {
  if (!layout.interleaved) return row;
  const int64_t half = layout.outputs / 2;
  const int64_t in_part = row / 16 * 8 + row % 8;
  if (in_part >= half) return layout.outputs;
  return row % 16 < 8 ? in_part : half + in_part;
}

__device__ __forceinline__ float with_bias(const LinearLaunch& a, int64_t row, float sum) {
  return a.weight.bias == nullptr ? sum : sum + a.weight.bias[row];
}

__device__ __forceinline__ void store_value(const LinearLaunch& a, int64_t at, float value) {
  if (a.out_f32) {
    static_cast<float*>(a.out)[at] = value;
  } else {
    static_cast<uint16_t*>(a.out)[at] = to_bf16(value);
  }
}

__device__ __forceinline__ void finish_plain(const LinearLaunch& a, int64_t token, int64_t row, float sum) {
  const int64_t output = logical_row(a.weight.layout, row);
  if (token >= a.tokens || output >= a.weight.layout.outputs) return;
  store_value(a, token * a.weight.layout.outputs + output, with_bias(a, row, sum));
}

// gate_row: the physical row of the gate; its partner is eight rows below.
__device__ __forceinline__ void finish_swiglu(const LinearLaunch& a, int64_t token, int64_t gate_row, float gate,
                                              float up) {
  const int64_t half = a.weight.layout.outputs / 2;
  const int64_t output = gate_row / 16 * 8 + gate_row % 8;
  if (token >= a.tokens || output >= half) return;
  store_value(a, token * half + output, silu(with_bias(a, gate_row, gate)) * with_bias(a, gate_row + 8, up));
}

// Eight inputs of a token, zeros beyond the last input and token.
__device__ __forceinline__ Vec4 load_inputs(const LinearLaunch& a, int64_t token, int64_t begin) {
  const int64_t inputs = a.weight.layout.inputs;
  if (token >= a.tokens || begin >= inputs) return {0, 0, 0, 0};
  const auto* x = static_cast<const uint16_t*>(a.x) + token * inputs + begin;
  if (inputs % 8 == 0) return *reinterpret_cast<const Vec4*>(x);
  uint32_t pairs[4];
  for (int i = 0; i < 4; ++i) {
    const uint32_t low = begin + 2 * i < inputs ? x[2 * i] : 0U;
    const uint32_t high = begin + 2 * i + 1 < inputs ? x[2 * i + 1] : 0U;
    pairs[i] = low | high << 16;
  }
  return {pairs[0], pairs[1], pairs[2], pairs[3]};
}

}  // namespace cove::cuda::dev
