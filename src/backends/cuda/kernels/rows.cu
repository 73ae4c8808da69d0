#include "backends/cuda/kernels/rows.h"

#include "backends/cuda/kernels/cache_values.h"
#include "backends/cuda/kernels/decode_value.h"
#include "backends/cuda/kernels/language.h"
#include "backends/cuda/kernels/norm_parts.h"
#include "backends/cuda/kernels/round_values.h"

namespace cove::cuda {
namespace {

using namespace dev;

constexpr unsigned kThreads = 256;

// One block per row. Bytes: width * (stored + 2) a row.
__global__ void embed_kernel(EmbedLaunch a) {
  let_next_kernel_start();
  wait_for_previous_kernel();
  int32_t token = a.tokens[blockIdx.x];
  if (token < 0) token = a.drawn[-1 - token];
  if (token < 0) token = 0;
  const auto* row = static_cast<const unsigned char*>(a.table) + int64_t{token} * a.row_bytes;
  auto* out = static_cast<uint16_t*>(a.out) + static_cast<int64_t>(blockIdx.x) * a.width;
  for (int64_t i = threadIdx.x; i < a.width; i += blockDim.x) out[i] = to_bf16(decode_value(a.dtype, row, i));
}

// Rows of a multiple of 8 values that fit into the block's registers: a thread keeps 16 bytes, and asks for its scales
// before the kernel that makes delta has ended. One block a row.
constexpr unsigned kHeldThreadsMax = 1024;

// The bits of the largest magnitude over the block; those of infinities and NaNs are the largest.
__device__ __forceinline__ uint32_t block_max_bits(const Vec4& octet, uint32_t* partial) {
  uint32_t most = most_bits(octet);
#pragma unroll
  for (int mask = 16; mask > 0; mask /= 2) most = larger_of(most, shuffle_xor(most, mask));
  block_sync();  // partial may still be read from an earlier sum
  if (lane() == 0) partial[threadIdx.x / 32] = most;
  block_sync();
  for (unsigned i = 0; i < blockDim.x / 32; ++i) most = larger_of(most, partial[i]);
  return most;
}

// The block's row in 8 bits: one scale, the largest magnitude / 448 or / 127; NaN where one is not finite.
__device__ __forceinline__ void round_row(const RmsNormLaunch& a, const Vec4& octet, bool mine, uint32_t* partial) {
  constexpr float kScaleMin = 1e-37F;  // whose inverse is finite
  constexpr uint32_t kInfinity = 0x7F800000U;
  const uint32_t bits = block_max_bits(octet, partial);
  float scale = bits_to_float(bits) / (a.rounded_fp8 ? 448.0F : 127.0F);
  if (bits >= kInfinity) scale = bits_to_float(0x7FC00000U);
  const float inverse = scale > kScaleMin ? 1.0F / scale : 0.0F;
  if (threadIdx.x == 0) a.rounded_scale[blockIdx.x] = scale;
  if (!mine) return;
  const uint32_t pairs[4] = {octet.x, octet.y, octet.z, octet.w};
  uint32_t words[2] = {0, 0};
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    const float value = (i % 2 == 0 ? low_bf16(pairs[i / 2]) : high_bf16(pairs[i / 2])) * inverse;
    const uint32_t byte = a.rounded_fp8 ? to_e4m3(value) : static_cast<uint32_t>(to_quant(value, 1.0F, 127.0F)) & 0xFFU;
    words[i / 4] |= byte << (i % 4 * 8);
  }
  auto* to = static_cast<unsigned char*>(a.rounded) + static_cast<int64_t>(blockIdx.x) * a.rounded_pitch;
  reinterpret_cast<Vec2*>(to)[threadIdx.x] = {words[0], words[1]};
}

__global__ void __launch_bounds__(kHeldThreadsMax) rms_norm_held_kernel(RmsNormLaunch a) {
  let_next_kernel_start();
  auto* partial = reinterpret_cast<float*>(shared_memory());
  const bool mine = threadIdx.x < a.width / 8;
  float scale[8] = {};
  if (mine) {
#pragma unroll
    for (int i = 0; i < 8; ++i) scale[i] = a.scale[8 * threadIdx.x + static_cast<unsigned>(i)];
  }
  wait_for_previous_kernel();
  const int64_t at = static_cast<int64_t>(blockIdx.x) * a.width / 8 + threadIdx.x;
  Vec4 v = {0, 0, 0, 0};
  if (mine) {
    v = static_cast<Vec4*>(a.residual)[at];
    if (a.delta != nullptr) {
      const Vec4 d = static_cast<const Vec4*>(a.delta)[at];
      v = add_octet(v, d);
      static_cast<Vec4*>(a.residual)[at] = v;
    }
  }
  const float sum = block_sum(squares(v, 0), partial);
  const float inverse = reciprocal_sqrt(sum / static_cast<float>(a.width) + a.eps);
  const Vec4 normed = scale_octet(v, inverse, scale);
  if (a.rounded != nullptr) {
    round_row(a, normed, mine, reinterpret_cast<uint32_t*>(partial));
  } else if (mine) {
    static_cast<Vec4*>(a.out)[at] = normed;
  }
}

__device__ __forceinline__ float add_and_square_values(const RmsNormLaunch& a, int64_t row) {
  uint16_t* residual = static_cast<uint16_t*>(a.residual) + row * a.width;
  float sum = 0;
  for (int64_t i = threadIdx.x; i < a.width; i += blockDim.x) {
    if (a.delta != nullptr) {
      residual[i] =
          to_bf16(from_bf16(residual[i]) + from_bf16(static_cast<const uint16_t*>(a.delta)[row * a.width + i]));
    }
    sum = fused(from_bf16(residual[i]), from_bf16(residual[i]), sum);
  }
  return sum;
}

__device__ __forceinline__ void scale_values(const RmsNormLaunch& a, int64_t row, float inverse) {
  const uint16_t* residual = static_cast<const uint16_t*>(a.residual) + row * a.width;
  uint16_t* out = static_cast<uint16_t*>(a.out) + row * a.width;
  for (int64_t i = threadIdx.x; i < a.width; i += blockDim.x)
    out[i] = to_bf16(from_bf16(residual[i]) * inverse * a.scale[i]);
}

// Any row; each thread meets the same values in both passes, so that the second needs no barrier for them.
__global__ void __launch_bounds__(kThreads) rms_norm_kernel(RmsNormLaunch a) {
  let_next_kernel_start();
  wait_for_previous_kernel();
  auto* partial = reinterpret_cast<float*>(shared_memory());
  const int64_t row = blockIdx.x;
  const float mean = block_sum(add_and_square_values(a, row), partial) / static_cast<float>(a.width);
  scale_values(a, row, reciprocal_sqrt(mean + a.eps));
}

__global__ void gather_kernel(GatherLaunch a) {
  let_next_kernel_start();
  wait_for_previous_kernel();
  const auto* in = static_cast<const uint16_t*>(a.in) + static_cast<int64_t>(a.rows[blockIdx.x]) * a.width;
  auto* out = static_cast<uint16_t*>(a.out) + static_cast<int64_t>(blockIdx.x) * a.width;
  for (int64_t i = threadIdx.x; i < a.width; i += blockDim.x) out[i] = in[i];
}

constexpr unsigned kRopeWarps = 4;

// One head's values of a lane: pairs lane, lane + 32, ... The pair's elements are i and i + half, or 2 i and 2 i + 1.
template <int kPairs>
struct HeadPairs {
  float a[kPairs];
  float b[kPairs];
};

// Cosines (a) and sines (b) of a lane's pairs.
template <int kPairs>
__device__ __forceinline__ void load_turns(const RopeKvLaunch& args, unsigned token, int32_t half,
                                           HeadPairs<kPairs>& turns) {
  const auto* from = reinterpret_cast<const Vec2*>(args.turns) + token * static_cast<uint32_t>(half);
#pragma unroll
  for (int j = 0; j < kPairs; ++j) {
    const int32_t i = lane() + 32 * j;
    if (i >= half) break;
    const Vec2 turn = from[i];
    turns.a[j] = bits_to_float(turn.x);
    turns.b[j] = bits_to_float(turn.y);
  }
}

template <int kPairs>
__device__ __forceinline__ void rotate(const HeadPairs<kPairs>& turns, HeadPairs<kPairs>& pairs) {
#pragma unroll
  for (int j = 0; j < kPairs; ++j) {
    const float first = pairs.a[j];
    pairs.a[j] = first * turns.a[j] - pairs.b[j] * turns.b[j];
    pairs.b[j] = pairs.b[j] * turns.a[j] + first * turns.b[j];
  }
}

template <int kPairs>
__device__ __forceinline__ void normalize(const float* scale, float eps, int32_t half, int32_t step, int32_t apart,
                                          HeadPairs<kPairs>& pairs) {
  float sum = 0;
#pragma unroll
  for (int j = 0; j < kPairs; ++j) {
    if (lane() + 32 * j < half) sum = fused(pairs.a[j], pairs.a[j], fused(pairs.b[j], pairs.b[j], sum));
  }
  const float inverse = reciprocal_sqrt(warp_sum(sum) / static_cast<float>(2 * half) + eps);
#pragma unroll
  for (int j = 0; j < kPairs; ++j) {
    const int32_t i = lane() + 32 * j;
    if (i >= half) break;
    pairs.a[j] = pairs.a[j] * inverse * scale[i * step];
    pairs.b[j] = pairs.b[j] * inverse * scale[i * step + apart];
  }
}

// Elements `at` and at + apart of a side; power: of an e4m3 cache.
__device__ __forceinline__ void store_cached(const LayerCache& cache, void* side, int64_t at, int32_t apart, float a,
                                             float b, uint32_t power) {
  if (cache.powers != nullptr) {
    auto* codes = static_cast<unsigned char*>(side) + at;
    const uint32_t pair = cache_code_pair(from_bf16(to_bf16(a)), from_bf16(to_bf16(b)), power, inverse_power(power));
    codes[0] = static_cast<unsigned char>(pair);
    codes[apart] = static_cast<unsigned char>(pair >> 8);
  } else if (cache.is_f32) {
    auto* values = static_cast<float*>(side) + at;
    values[0] = a;
    values[apart] = b;
  } else {
    auto* values = static_cast<uint16_t*>(side) + at;
    values[0] = to_bf16(a);
    values[apart] = to_bf16(b);
  }
}

// The power of two for a head's values, whose pairs the warp has.
template <int kPairs>
__device__ __forceinline__ uint32_t head_power(const HeadPairs<kPairs>& pairs, int32_t half) {
  uint32_t most = 0;
#pragma unroll
  for (int j = 0; j < kPairs; ++j) {
    if (lane() + 32 * j >= half) break;
    most = larger_of(most, magnitude_bits(from_bf16(to_bf16(pairs.a[j]))));
    most = larger_of(most, magnitude_bits(from_bf16(to_bf16(pairs.b[j]))));
  }
#pragma unroll
  for (int mask = 16; mask > 0; mask /= 2) most = larger_of(most, shuffle_xor(most, mask));
  return power_for(most);
}

// One thread per token and pair.
__global__ void __launch_bounds__(kThreads) turns_kernel(TurnsLaunch a) {
  let_next_kernel_start();
  const unsigned i = blockIdx.x * kThreads + threadIdx.x;
  const auto half = static_cast<unsigned>(a.half);
  const unsigned token = i / half;
  float sine = 0;
  float cosine = 0;
  if (token < a.tokens) sine_cosine(static_cast<float>(a.positions[token]) * a.inv_freq[i % half], sine, cosine);
  wait_for_previous_kernel();
  if (token >= a.tokens) return;
  reinterpret_cast<Vec2*>(a.out)[i] = {float_to_bits(cosine * a.rope_scale), float_to_bits(sine * a.rope_scale)};
}

// One warp per head of a token: heads of q, then of k, then of v.
template <int kPairs>
__global__ void __launch_bounds__(kRopeWarps * 32) rope_kv_kernel(RopeKvLaunch args) {
  let_next_kernel_start();
  const auto all_heads = static_cast<unsigned>(args.heads + 2 * args.cache.kv_heads);
  const unsigned unit = blockIdx.x * kRopeWarps + threadIdx.x / 32;
  const unsigned token = unit / all_heads;
  if (token >= args.tokens) return;
  const auto head = static_cast<int32_t>(unit % all_heads);
  const auto heads = static_cast<int32_t>(args.heads);
  const auto kv_heads = static_cast<int32_t>(args.cache.kv_heads);
  const auto page_tokens = static_cast<int32_t>(args.cache.page_tokens);
  const auto dim = static_cast<int32_t>(args.cache.head_dim);
  const int32_t half = dim / 2;
  const bool is_q = head < heads;
  const bool is_v = head >= heads + kv_heads;
  const int32_t step = args.interleaved ? 2 : 1;
  const int32_t apart = args.interleaved ? 1 : half;
  const int32_t slot = args.slots[token];
  wait_for_previous_kernel();
  HeadPairs<kPairs> turns = {};
  if (!is_v) load_turns<kPairs>(args, token, half, turns);

  uint16_t* values = static_cast<uint16_t*>(args.qkv) + static_cast<int64_t>(unit) * dim;
  HeadPairs<kPairs> pairs;
#pragma unroll
  for (int j = 0; j < kPairs; ++j) {
    const int32_t i = lane() + 32 * j;
    pairs.a[j] = i < half ? from_bf16(values[i * step]) : 0.0F;
    pairs.b[j] = i < half ? from_bf16(values[i * step + apart]) : 0.0F;
  }
  const float* norm = is_q ? args.q_norm : args.k_norm;
  if (!is_v && norm != nullptr) normalize<kPairs>(norm, args.norm_eps, half, step, apart, pairs);
  if (!is_v) rotate<kPairs>(turns, pairs);

  const int32_t kv_head = is_v ? head - heads - kv_heads : head - heads;
  const int64_t row =
      (slot / page_tokens * args.cache.kv_heads + kv_head) * args.cache.page_tokens + slot % page_tokens;
  void* side = is_v ? args.cache.values : args.cache.keys;
  uint32_t power = 0;
  if (!is_q && args.cache.powers != nullptr) {
    power = head_power<kPairs>(pairs, half);
    if (lane() == 0)
      static_cast<unsigned char*>(args.cache.powers)[power_at(row, is_v ? kValueSide : kKeySide)] =
          static_cast<unsigned char>(power);
  }
#pragma unroll
  for (int j = 0; j < kPairs; ++j) {
    const int32_t i = lane() + 32 * j;
    if (i >= half) break;
    if (is_q) {
      values[i * step] = to_bf16(pairs.a[j]);
      values[i * step + apart] = to_bf16(pairs.b[j]);
    } else {
      store_cached(args.cache, side, row * dim + i * step, apart, pairs.a[j], pairs.b[j], power);
    }
  }
}

// One block per layer, side and head.
__global__ void copy_page_kernel(CopyPageLaunch a) {
  let_next_kernel_start();
  wait_for_previous_kernel();
  const int64_t head = blockIdx.x % a.kv_heads;
  const int64_t side = blockIdx.x / a.kv_heads;  // of 2 * layers
  const int64_t page_bytes = a.kv_heads * a.page_tokens * a.head_bytes;
  auto* begin =
      static_cast<unsigned char*>(a.cache) + side * a.pages * page_bytes + head * a.page_tokens * a.head_bytes;
  const auto* from = reinterpret_cast<const uint32_t*>(begin + a.from * page_bytes);
  auto* to = reinterpret_cast<uint32_t*>(begin + a.to * page_bytes);
  for (int64_t i = threadIdx.x; i < a.count * a.head_bytes / 4; i += blockDim.x) to[i] = from[i];
  if (a.powers == nullptr) return;
  auto* powers = static_cast<unsigned char*>(a.powers) + side / 2 * 2 * a.pages * a.kv_heads * a.page_tokens;
  const auto place = [&](int64_t page, int64_t i) {
    return power_at((page * a.kv_heads + head) * a.page_tokens + i, static_cast<int>(side % 2));
  };
  for (int64_t i = threadIdx.x; i < a.count; i += blockDim.x) powers[place(a.to, i)] = powers[place(a.from, i)];
}

// One block per page and head; a thread has 16 columns. Bytes: 6 head_dim + 2 a position.
__global__ void __launch_bounds__(kThreads) unpack_pages_kernel(UnpackPagesLaunch a) {
  let_next_kernel_start();
  wait_for_previous_kernel();
  const auto kv_heads = static_cast<uint32_t>(a.cache.kv_heads);
  const uint32_t index = blockIdx.x / kv_heads;
  const auto head = static_cast<int32_t>(blockIdx.x % kv_heads);
  const int64_t page = a.pages[index];
  const auto chunks = static_cast<uint32_t>(a.cache.head_dim / 16);
  const auto count = static_cast<uint32_t>(a.cache.page_tokens) * chunks;
  const int64_t first_row = (page * kv_heads + head) * a.cache.page_tokens;
  for (uint32_t i = threadIdx.x; i < 2 * count; i += blockDim.x) {
    const bool is_v = i >= count;
    const uint32_t chunk = is_v ? i - count : i;
    const int64_t from = first_row * chunks + chunk;
    const Vec4 codes = static_cast<const Vec4*>(is_v ? a.cache.values : a.cache.keys)[from];
    const uint32_t power = static_cast<const unsigned char*>(
        a.cache.powers)[power_at(first_row + chunk / chunks, is_v ? kValueSide : kKeySide)];
    auto* to = static_cast<Vec4*>(is_v ? a.values : a.keys) +
               2 * ((static_cast<int64_t>(index) * kv_heads + head) * count + chunk);
    to[0] = cached_octet({codes.x, codes.y}, power);
    to[1] = cached_octet({codes.z, codes.w}, power);
  }
}

unsigned rows_of(int64_t count) { return static_cast<unsigned>(count); }

}  // namespace

const char* launch_embed(const EmbedLaunch& args, void* stream) {
  if (args.count == 0) return nullptr;
  return launch({.grid_x = rows_of(args.count), .threads = kThreads}, stream, embed_kernel, args);
}

bool rms_norm_can_round(const RmsNormLaunch& args) { return args.width % 8 == 0 && args.width / 8 <= kHeldThreadsMax; }

const char* launch_rms_norm(const RmsNormLaunch& args, void* stream) {
  if (args.rows == 0) return nullptr;
  const auto held = static_cast<unsigned>((args.width / 8 + 31) / 32 * 32);
  if (rms_norm_can_round(args)) {
    return launch({.grid_x = rows_of(args.rows), .threads = held, .shared_bytes = held / 32 * sizeof(float)}, stream,
                  rms_norm_held_kernel, args);
  }
  return launch({.grid_x = rows_of(args.rows), .threads = kThreads, .shared_bytes = kThreads / 32 * sizeof(float)},
                stream, rms_norm_kernel, args);
}

const char* launch_gather(const GatherLaunch& args, void* stream) {
  if (args.count == 0) return nullptr;
  return launch({.grid_x = rows_of(args.count), .threads = kThreads}, stream, gather_kernel, args);
}

const char* launch_turns(const TurnsLaunch& args, void* stream) {
  if (args.tokens == 0) return nullptr;
  const int64_t blocks = (args.tokens * args.half + kThreads - 1) / kThreads;
  return launch({.grid_x = rows_of(blocks), .threads = kThreads}, stream, turns_kernel, args);
}

const char* launch_rope_kv(const RopeKvLaunch& args, void* stream) {
  if (args.tokens == 0) return nullptr;
  const int64_t units = args.tokens * (args.heads + 2 * args.cache.kv_heads);
  const LaunchShape shape = {.grid_x = rows_of((units + kRopeWarps - 1) / kRopeWarps), .threads = kRopeWarps * 32};
  if (args.cache.head_dim <= 64) return launch(shape, stream, rope_kv_kernel<1>, args);
  if (args.cache.head_dim <= 128) return launch(shape, stream, rope_kv_kernel<2>, args);
  return launch(shape, stream, rope_kv_kernel<static_cast<int>(kRopeHeadDimMax / 64)>, args);
}

const char* launch_unpack_pages(const UnpackPagesLaunch& args, void* stream) {
  if (args.count == 0) return nullptr;
  return launch({.grid_x = rows_of(args.count * args.cache.kv_heads), .threads = kThreads}, stream, unpack_pages_kernel,
                args);
}

const char* launch_copy_page(const CopyPageLaunch& args, void* stream) {
  if (args.count == 0) return nullptr;
  return launch({.grid_x = rows_of(2 * args.layers * args.kv_heads), .threads = kThreads}, stream, copy_page_kernel,
                args);
}

}  // namespace cove::cuda
