#pragma once
// out = epilogue(x W^T + bias): a product for few tokens, which reads the weights at the speed of memory, and one for
// many. All pointers are device memory; launches return null or the error's text.

#include <cstdint>

#include "backends/cuda/kernels/pack.h"

namespace cove::cuda {

struct LinearLaunch {
  DeviceWeight weight{};
  const void* x = nullptr;  // bf16 [tokens][inputs], 16-byte aligned
  int64_t tokens = 0;
  bool swiglu = false;  // of interleaved weights: out is [tokens][outputs / 2]
  void* out = nullptr;  // bf16 or f32 [tokens][outputs]
  bool out_f32 = false;
  int multiprocessors = 0;  // of the device; 0: not known
  // launch_vector only: x is RMS-normed first (vector_can_norm); results are added to add_to (bf16 [tokens][outputs],
  // not interleaved) instead of stored, each rounded to bf16 before and after.
  const float* norm_scale = nullptr;  // [inputs]
  float norm_eps = 0;
  void* add_to = nullptr;
  bool operator==(const LinearLaunch&) const = default;
};

// Every format. Reads the weights once per kSkinnyTokens tokens. A row of the result has the same bits whatever else is
// in the batch: the order of its sum depends on the weight's layout alone.
inline constexpr int64_t kSkinnyTokens = 32;
const char* launch_skinny(const LinearLaunch& args, void* stream);

// Every format, at most kVectorTokens tokens: faster than launch_skinny, with sums in another order.
inline constexpr int64_t kVectorTokens = 8;
const char* launch_vector(const LinearLaunch& args, void* stream);
// Whether x of this launch can be normed on the way.
bool vector_can_norm(const LinearLaunch& args);

// bf16 weights (others: launch_unpack first). Matrix instructions on tiles of 64 tokens x 128 rows.
const char* launch_gemm(const LinearLaunch& args, void* stream);

}  // namespace cove::cuda
