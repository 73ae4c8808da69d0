#pragma once
// Kernels for Hopper (sm_90a: wgmma, TMA) behind plain functions; no CUDA types. Called by the backend where plan/
// prefers them to the portable kernels. The supports and size functions are host arithmetic and run anywhere; launches
// return null or the error's text, never wait and never allocate, so that they can be captured into a graph.

#include <cstddef>
#include <cstdint>

#include "compute/step.h"

namespace cove::cuda::hopper {

enum class GemmFormat : uint8_t { kBF16, kE4M3, kInt8 };

// out[t][j] = epilogue(sum_k x[t][k] * w[n][k], scaled, + bias[n])
struct GemmArgs {
  GemmFormat format = GemmFormat::kBF16;
  const void* x = nullptr;              // [tokens][in]: bf16, or e4m3 or int8 as launch_quantize_rows wrote it
  int64_t x_pitch = 0;                  // bytes from row to row, a multiple of 16
  const float* x_scale = nullptr;       // [tokens]; kE4M3 and kInt8 only
  const void* weight = nullptr;         // [weight_rows][in], 256-byte aligned, zero padded to the pitch
  int64_t weight_pitch = 0;             // bytes, a multiple of 128
  const float* weight_scale = nullptr;  // [weight_rows], per output; kE4M3 and kInt8 only
  const float* bias = nullptr;          // [weight_rows] or null
  int64_t tokens = 0;                   // at least 1
  int64_t in = 0;                       // inputs; x is valid up to here only
  int64_t weight_rows = 0;              // physical rows, a multiple of 16
  int64_t out_features = 0;             // outputs before the epilogue
  // {gate, up}: physical row p is row p % 8 of gate (p % 16 < 8) or up, eight rows of each in turn.
  bool interleaved = false;
  bool swiglu = false;  // needs interleaved: out[t][i] = silu(gate_i) * up_i, out_features / 2 wide
  void* out = nullptr;  // [tokens][width], rows packed, any alignment of a row
  bool out_f32 = false;
  bool add = false;           // bf16, not swiglu: added to what is in out, each rounded to bf16 before and after
  void* workspace = nullptr;  // gemm_workspace_bytes(), zeroed once at start; counters in it are left zero
  int multiprocessors = 0;
  bool operator==(const GemmArgs&) const = default;
};
bool gemm_supported(const GemmArgs& args);
size_t gemm_workspace_bytes();
const char* launch_gemm(const GemmArgs& args, void* stream);

// The same for weights of 4 or 8 bits in panels (plan/weight_layout.h: kQ4, kQ8), each times its group's scale.
struct PanelGemmArgs {
  GemmArgs product{};  // weight: the panels; format, weight_pitch and the scales are not used; any number of tokens
  int bits = 4;        // 4 or 8
  int64_t group = 32;  // inputs of a scale: 32, or 128 of 4 bits
  int64_t padded = 0;  // inputs with the panels' padding, a multiple of 128
  const uint16_t* group_scale = nullptr;  // f16, as panels have them; 16-byte aligned
  bool operator==(const PanelGemmArgs&) const = default;
};
bool panel_gemm_supported(const PanelGemmArgs& args);
const char* launch_panel_gemm(const PanelGemmArgs& args, void* stream);

// x bf16 -> e4m3 or int8 with one scale per token: amax / 448 or amax / 127. A row of zeros gets zeros, a row with NaN
// or infinity a NaN scale.
struct QuantizeArgs {
  const void* x = nullptr;  // bf16 [tokens][in]
  int64_t x_pitch = 0;      // bytes
  void* out = nullptr;      // [tokens][in]
  int64_t out_pitch = 0;    // bytes
  float* scale = nullptr;   // [tokens]
  int64_t tokens = 0;
  int64_t in = 0;
  GemmFormat format = GemmFormat::kE4M3;
  bool operator==(const QuantizeArgs&) const = default;
};
const char* launch_quantize_rows(const QuantizeArgs& args, void* stream);

// Consecutive tokens of one slice; first_token counts in the step.
struct AttentionTile {
  int32_t sequence = 0;
  int32_t first_token = 0;
  int32_t tokens = 0;
  bool operator==(const AttentionTile&) const = default;
};

// Paged causal attention of prompt chunks over a bf16 cache. What lies behind a sequence's end in its last page may be
// NaN.
struct PrefillArgs {
  const void* q = nullptr;       // bf16 [tokens][heads][head_dim], rotated
  int64_t q_pitch = 0;           // bytes from token to token
  const void* keys = nullptr;    // this layer's: bf16 [pages][kv_heads][page_tokens][head_dim]
  const void* values = nullptr;  // likewise
  int64_t pages = 0;
  int64_t page_tokens = 16;
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t head_dim = 0;
  const SequenceSlice* sequences = nullptr;  // device
  const int32_t* page_table = nullptr;       // device
  const AttentionTile* tiles = nullptr;      // device
  int64_t tile_count = 0;
  float scale = 1.0F;
  void* out = nullptr;  // bf16 [tokens][heads][head_dim]
  int multiprocessors = 0;
  bool operator==(const PrefillArgs&) const = default;
};
// How many tokens a tile may hold; 0 = not supported.
int64_t prefill_tile_tokens(int64_t heads, int64_t kv_heads, int64_t head_dim, int64_t page_tokens);
const char* launch_prefill_attention(const PrefillArgs& args, void* stream);

}  // namespace cove::cuda::hopper
