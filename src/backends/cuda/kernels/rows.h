#pragma once
// Operations on single rows: embedding, RMS norm, gathering, rotation with the write into the cache, page copies.
// Launches return null or the error's text; `stream` is a cudaStream_t. All pointers are device memory. Equal arguments
// mean equal work, which is what lets a step be replayed as a graph.

#include <cstdint>

#include "tensor/dtype.h"

namespace cove::cuda {

// Rows (positions of a key head) whose powers of two lie together.
inline constexpr int64_t kPowerRows = 16;

// The keys and values of one layer: [pages][kv_heads][page_tokens][head_dim] each, bf16; f32 where it says so; e4m3
// where there are powers (kernels/cache_values.h), with head_dim a multiple of 16 and whole groups of kPowerRows rows.
struct LayerCache {
  void* keys = nullptr;
  void* values = nullptr;
  int64_t kv_heads = 0;
  int64_t page_tokens = 0;
  int64_t head_dim = 0;
  bool is_f32 = false;
  void* powers = nullptr;  // bytes [rows / kPowerRows][2: keys, values][kPowerRows], or null
  bool operator==(const LayerCache&) const = default;
};

// out[i] = table[tokens[i]], rounded to bf16. The table's rows are as in the file, packed. A token below 0 is
// drawn[-1 - token]; one that could not be drawn (-1) counts as 0, its row is nobody's.
struct EmbedLaunch {
  const void* table = nullptr;
  DType dtype = DType::kBF16;  // f32, f16, bf16, q8_0, q4_0
  int64_t row_bytes = 0;
  const int32_t* tokens = nullptr;  // [count]
  const int32_t* drawn = nullptr;   // by the step before; may be null where no token is below 0
  int64_t count = 0;
  int64_t width = 0;
  void* out = nullptr;  // bf16 [count][width]
  bool operator==(const EmbedLaunch&) const = default;
};
const char* launch_embed(const EmbedLaunch& args, void* stream);

// residual += delta (rounded to bf16); out = residual / sqrt(mean(residual^2) + eps) * scale. bf16 [rows][width]; sums
// in f32.
struct RmsNormLaunch {
  void* residual = nullptr;
  const void* delta = nullptr;   // or null
  const float* scale = nullptr;  // [width]
  float eps = 0;
  void* out = nullptr;
  int64_t rows = 0;
  int64_t width = 0;
  // Instead of out, its values in 8 bits, as launch_quantize_rows of hopper/ makes them (rms_norm_can_round).
  void* rounded = nullptr;         // [rows][rounded_pitch bytes]
  int64_t rounded_pitch = 0;       // a multiple of 8
  float* rounded_scale = nullptr;  // [rows]
  bool rounded_fp8 = false;        // e4m3; else int8
  bool operator==(const RmsNormLaunch&) const = default;
};
bool rms_norm_can_round(const RmsNormLaunch& args);
const char* launch_rms_norm(const RmsNormLaunch& args, void* stream);

// out[i] = in[rows[i]]; bf16.
struct GatherLaunch {
  const void* in = nullptr;
  const int32_t* rows = nullptr;  // [count]
  int64_t count = 0;
  int64_t width = 0;
  void* out = nullptr;
  bool operator==(const GatherLaunch&) const = default;
};
const char* launch_gather(const GatherLaunch& args, void* stream);

// {cos, sin} of position * inv_freq[i], times rope_scale: once a step for all layers.
struct TurnsLaunch {
  const float* inv_freq = nullptr;  // [half]
  int64_t half = 0;                 // head_dim / 2
  float rope_scale = 1.0F;
  const int32_t* positions = nullptr;  // [tokens]
  int64_t tokens = 0;
  float* out = nullptr;  // [tokens][half][2]
  bool operator==(const TurnsLaunch&) const = default;
};
const char* launch_turns(const TurnsLaunch& args, void* stream);

// See RopeKvArgs of compute/backend.h.
struct RopeKvLaunch {
  void* qkv = nullptr;  // bf16 [tokens][(heads + 2 kv_heads) * head_dim]
  int64_t tokens = 0;
  int64_t heads = 0;
  LayerCache cache{};
  const float* q_norm = nullptr;  // [head_dim] or null
  const float* k_norm = nullptr;
  float norm_eps = 0;
  const float* turns = nullptr;  // TurnsLaunch::out of the step's tokens
  bool interleaved = false;
  const int32_t* slots = nullptr;  // [tokens]
  bool operator==(const RopeKvLaunch&) const = default;
};
inline constexpr int64_t kRopeHeadDimMax = 256;
const char* launch_rope_kv(const RopeKvLaunch& args, void* stream);

// Tokens [0, count) of page `from` to page `to` of `layers` layers; all
// [layers][2][pages][kv_heads][page_tokens][head_dim], and powers [layers][rows / kPowerRows][2][kPowerRows].
struct CopyPageLaunch {
  void* cache = nullptr;
  int64_t layers = 0;
  int64_t pages = 0;
  int64_t kv_heads = 0;
  int64_t page_tokens = 0;
  int64_t head_bytes = 0;  // of one position of one head, a multiple of 4
  void* powers = nullptr;  // or null
  int64_t from = 0;
  int64_t to = 0;
  int64_t count = 0;
};
const char* launch_copy_page(const CopyPageLaunch& args, void* stream);

// Pages of an e4m3 cache as bf16, exact: page i of keys and values is page pages[i] of the cache.
struct UnpackPagesLaunch {
  LayerCache cache{};
  const int32_t* pages = nullptr;  // [count]
  int64_t count = 0;
  void* keys = nullptr;    // bf16 [count][kv_heads][page_tokens][head_dim]
  void* values = nullptr;  // likewise
  bool operator==(const UnpackPagesLaunch&) const = default;
};
const char* launch_unpack_pages(const UnpackPagesLaunch& args, void* stream);

}  // namespace cove::cuda
