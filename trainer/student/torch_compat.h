#pragma once
// The differences between LibTorch 1.13 (Debian, CPU, tests) and current releases (CUDA, real runs), in one place.

#include <torch/torch.h>
#include <torch/version.h>

namespace cove::trainer {

#if TORCH_VERSION_MAJOR >= 2
inline constexpr bool kHasFlashAttention = true;

inline torch::Tensor rms_norm(const torch::Tensor& x, const torch::Tensor& scale, double eps) {
  return at::rms_norm(x, {x.size(-1)}, scale, eps);
}

// q [T, heads, dim], k and v [T, kv_heads, dim], bf16 on CUDA; starts [documents + 1] i32. Causal within each document.
inline torch::Tensor varlen_attention(const torch::Tensor& q, const torch::Tensor& k, const torch::Tensor& v,
                                      const torch::Tensor& starts, int64_t longest) {
  return std::get<0>(at::_flash_attention_forward(q, k, v, starts, starts, longest, longest, 0.0, true, false));
}
#else
inline constexpr bool kHasFlashAttention = false;

inline torch::Tensor rms_norm(const torch::Tensor& x, const torch::Tensor& scale, double eps) {
  const torch::Tensor f = x.to(torch::kFloat);
  const torch::Tensor normed = f * torch::rsqrt(f.square().mean(-1, /*keepdim=*/true) + eps);
  return normed.to(x.scalar_type()) * scale;
}

inline torch::Tensor varlen_attention(const torch::Tensor&, const torch::Tensor&, const torch::Tensor&,
                                      const torch::Tensor&, int64_t) {
  TORCH_CHECK(false, "flash attention needs a current LibTorch");
}
#endif

}  // namespace cove::trainer
