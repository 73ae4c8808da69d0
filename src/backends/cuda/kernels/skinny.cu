// y = W x for up to 32 tokens at once, bound by reading W.
//
// 1 out[t][n] = sum_k w[n][k] x[t][k]                  2 shapes: linear.h, weight_layout.h
// 3 weights in 16-byte words, rows of a multiple of 128 inputs; x 16-byte aligned where inputs % 8 == 0
// 4 a block has 16 * kTiles physical rows; its eight warps share the inputs, 128 at a time in turn; sums meet in shared
// memory 5 bytes: the weights once, plus x from L2 once per block; FLOPs are an order of magnitude below the matrix
// units' rate 6 products exact in bf16 x bf16, sums in f32; block scales multiply the sum of their 32 (or 128) products
// 7 own. Matrix instructions with the weights as the 16-row operand: a quad's lanes read 64 consecutive bytes of a row,
// and since a
//   sum may be taken in any order, the words go into the instruction as they come, with x read in the same order.
#include "backends/cuda/kernels/epilogue.h"
#include "backends/cuda/kernels/language.h"
#include "backends/cuda/kernels/linear.h"
#include "backends/cuda/kernels/weight_values.h"

namespace cove::cuda {
namespace {

using namespace dev;

constexpr int kWarps = 8;
constexpr int kSliceInputs = 128;  // of one warp and turn; with kWarps it fixes the order of every sum

// A chunk is what a quad's four words hold: 32, 64 or 128 inputs.
template <WeightFormat kFormat>
constexpr int kChunkInputs = 4 * kWordInputs<kFormat>;
template <WeightFormat kFormat>
constexpr int kChunks = kSliceInputs / kChunkInputs<kFormat>;  // of a slice
template <WeightFormat kFormat>
constexpr bool kHasGroups = kFormat == WeightFormat::kQ8 || kFormat == WeightFormat::kQ4;

template <WeightFormat kFormat, int kTiles>
struct Words {
  Vec4 of[kChunks<kFormat>][kTiles][2];  // of rows g and g + 8
};

template <WeightFormat kFormat, int kTiles>
__device__ __forceinline__ void load_words(const DeviceWeight& weight, int64_t first_row, int64_t input,
                                           Words<kFormat, kTiles>& words) {
  const WeightLayout& layout = weight.layout;
  const int64_t word = input / kChunkInputs<kFormat> * 4 + lane() % 4;
#pragma unroll
  for (int c = 0; c < kChunks<kFormat>; ++c) {
#pragma unroll
    for (int i = 0; i < kTiles * 2; ++i) {
      const int64_t row = first_row + i / 2 * 16 + i % 2 * 8 + lane() / 4;
      const bool there = input < layout.padded && row < layout.rows;
      words.of[c][i / 2][i % 2] =
          there
              ? load_stream(static_cast<const unsigned char*>(weight.weight) + row * layout.pitch + (word + 4 * c) * 16)
              : Vec4{0, 0, 0, 0};
    }
  }
}

__device__ __forceinline__ float group_scale(const DeviceWeight& weight, int64_t row, int64_t input) {
  if (row >= weight.layout.rows) return 0.0F;
  return from_f16(weight.group_scale[row * weight.layout.scale_pitch() + input / weight.layout.group]);
}

// Two matrix instructions: eight inputs of each lane of a quad.
__device__ __forceinline__ void multiply_octet(const uint32_t (&low)[4], const uint32_t (&high)[4], const Vec4& x,
                                               float (&sum)[4]) {
  const uint32_t a0[4] = {low[0], high[0], low[1], high[1]};
  const uint32_t b0[2] = {x.x, x.y};
  mma_bf16(sum, a0, b0);
  const uint32_t a1[4] = {low[2], high[2], low[3], high[3]};
  const uint32_t b1[2] = {x.z, x.w};
  mma_bf16(sum, a1, b1);
}

template <WeightFormat kFormat, int kTiles, int kGroups>
__device__ __forceinline__ void multiply_words(const LinearLaunch& a, int64_t first_row, int64_t first_token,
                                               int64_t input, const Words<kFormat, kTiles>& words,
                                               float (&sums)[kTiles][kGroups][4]) {
  constexpr int kOctets = kWordInputs<kFormat> / 8;
#pragma unroll
  for (int c = 0; c < kChunks<kFormat>; ++c) {
#pragma unroll
    for (int octet = 0; octet < kOctets; ++octet) {
      const int64_t begin = input + c * kChunkInputs<kFormat>;
      Vec4 x[kGroups];
#pragma unroll
      for (int n = 0; n < kGroups; ++n) {
        x[n] = load_inputs(a, first_token + 8 * n + lane() / 4, begin + octet_begin<kFormat>(lane() % 4, octet));
      }
#pragma unroll
      for (int tile = 0; tile < kTiles; ++tile) {
        uint32_t low[4];
        uint32_t high[4];
        octet_values<kFormat>(words.of[c][tile][0], octet, low);
        octet_values<kFormat>(words.of[c][tile][1], octet, high);
        if constexpr (kHasGroups<kFormat>) {
          const int64_t row = first_row + 16 * tile + lane() / 4;
          const float low_scale = group_scale(a.weight, row, begin + 32 * octet);
          const float high_scale = group_scale(a.weight, row + 8, begin + 32 * octet);
#pragma unroll
          for (int n = 0; n < kGroups; ++n) {
            float block[4] = {0, 0, 0, 0};
            multiply_octet(low, high, x[n], block);
            sums[tile][n][0] = fused(low_scale, block[0], sums[tile][n][0]);
            sums[tile][n][1] = fused(low_scale, block[1], sums[tile][n][1]);
            sums[tile][n][2] = fused(high_scale, block[2], sums[tile][n][2]);
            sums[tile][n][3] = fused(high_scale, block[3], sums[tile][n][3]);
          }
        } else {
#pragma unroll
          for (int n = 0; n < kGroups; ++n) multiply_octet(low, high, x[n], sums[tile][n]);
        }
      }
    }
  }
}

// The warps' sums meet: [warp][row][token], added in the order of the warps.
template <WeightFormat kFormat, int kTiles, int kGroups>
__device__ __forceinline__ void add_up(const LinearLaunch& a, int64_t first_row, int64_t first_token,
                                       const float (&sums)[kTiles][kGroups][4]) {
  constexpr int kRows = 16 * kTiles;
  constexpr int kTokens = 8 * kGroups;
  auto* shared = reinterpret_cast<float*>(shared_memory());
  float* mine = shared + static_cast<int>(threadIdx.x / 32) * kRows * kTokens;
#pragma unroll
  for (int tile = 0; tile < kTiles; ++tile) {
#pragma unroll
    for (int n = 0; n < kGroups; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int row = 16 * tile + lane() / 4 + i / 2 * 8;
        mine[row * kTokens + 8 * n + lane() % 4 * 2 + i % 2] = sums[tile][n][i];
      }
    }
  }
  block_sync();
  const auto total = [&](int row, int token) {
    float sum = 0;
    for (int warp = 0; warp < kWarps; ++warp) sum += shared[(warp * kRows + row) * kTokens + token];
    return a.weight.layout.has_row_scales() ? sum * a.weight.row_scale[first_row + row] : sum;
  };
  const int outputs = a.swiglu ? kRows / 2 : kRows;
  for (int i = static_cast<int>(threadIdx.x); i < outputs * kTokens; i += kWarps * 32) {
    const int token = i / outputs;
    const int output = i % outputs;
    const int row = a.swiglu ? output / 8 * 16 + output % 8 : output;
    if (first_token + token >= a.tokens || first_row + row >= a.weight.layout.rows) continue;
    if (a.swiglu) {
      finish_swiglu(a, first_token + token, first_row + row, total(row, token), total(row + 8, token));
    } else {
      finish_plain(a, first_token + token, first_row + row, total(row, token));
    }
  }
}

// kAhead slices are loaded before the first is multiplied, so that enough bytes are under way.
template <WeightFormat kFormat, int kTiles, int kGroups>
__global__ void __launch_bounds__(kWarps * 32) skinny_kernel(LinearLaunch a) {
  constexpr int kAhead = kTiles == 1 ? 4 / kChunks<kFormat> : kChunks<kFormat> == 1 ? 2 : 1;
  const int64_t first_row = static_cast<int64_t>(blockIdx.x) * 16 * kTiles;
  const int64_t first_token = static_cast<int64_t>(blockIdx.y) * 8 * kGroups;
  const int64_t turn = kWarps * kSliceInputs;
  float sums[kTiles][kGroups][4] = {};
  for (int64_t input = static_cast<int64_t>(threadIdx.x / 32) * kSliceInputs; input < a.weight.layout.padded;
       input += kAhead * turn) {
    Words<kFormat, kTiles> words[kAhead];
#pragma unroll
    for (int i = 0; i < kAhead; ++i) load_words<kFormat, kTiles>(a.weight, first_row, input + i * turn, words[i]);
#pragma unroll
    for (int i = 0; i < kAhead; ++i) {
      // Where a row has ended nothing is added, so that the sums do not depend on kAhead.
      if (input + i * turn < a.weight.layout.padded)
        multiply_words<kFormat, kTiles, kGroups>(a, first_row, first_token, input + i * turn, words[i], sums);
    }
  }
  add_up<kFormat, kTiles, kGroups>(a, first_row, first_token, sums);
}

template <WeightFormat kFormat, int kTiles, int kGroups>
const char* launch_as(const LinearLaunch& args, void* stream) {
  constexpr int kRows = 16 * kTiles;
  const LaunchShape shape = {.grid_x = static_cast<unsigned>((args.weight.layout.rows + kRows - 1) / kRows),
                             .grid_y = static_cast<unsigned>((args.tokens + 8 * kGroups - 1) / (8 * kGroups)),
                             .threads = kWarps * 32,
                             .shared_bytes = sizeof(float) * kWarps * kRows * 8 * kGroups};
  return launch(shape, stream, skinny_kernel<kFormat, kTiles, kGroups>, args);
}

template <WeightFormat kFormat>
const char* launch_format(const LinearLaunch& args, void* stream) {
  if (args.tokens <= 8) return launch_as<kFormat, 1, 1>(args, stream);
  if (args.tokens <= 16) return launch_as<kFormat, 2, 2>(args, stream);
  return launch_as<kFormat, 2, 4>(args, stream);
}

}  // namespace

const char* launch_skinny(const LinearLaunch& args, void* stream) {
  if (args.tokens == 0) return nullptr;
  switch (args.weight.layout.format) {
    case WeightFormat::kBF16: return launch_format<WeightFormat::kBF16>(args, stream);
    case WeightFormat::kQ8: return launch_format<WeightFormat::kQ8>(args, stream);
    case WeightFormat::kQ4: return launch_format<WeightFormat::kQ4>(args, stream);
    case WeightFormat::kInt8: return launch_format<WeightFormat::kInt8>(args, stream);
    default: return launch_format<WeightFormat::kE4M3>(args, stream);
  }
}

}  // namespace cove::cuda
