// y = W x for up to 32 tokens at once, bound by reading W.
//
// 1 out[t][n] = sum_k w[n][k] x[t][k]                  2 shapes: linear.h, weight_layout.h
// 3 weights in 16-byte words, rows of a multiple of 128 inputs; x 16-byte aligned where inputs % 8 == 0
// 4 blocks stay and take tiles of 16 * kTiles physical rows in turn; a block's eight warps share a tile's inputs, 128
// at a time in turn; sums meet in shared memory
// 5 bytes: the weights once, plus x from L2 once per tile; FLOPs are an order of magnitude below the matrix units' rate
// 6 products exact in bf16 x bf16, sums in f32; group scales multiply the sum of their inputs within a chunk
// 7 own. Matrix instructions with the weights as the 16-row operand: since a sum may be taken in any order, a lane's
// words go into the instruction as they come, with x read in the same order. Every lane copies its own words into its
// own places of a ring in shared memory (cp.async) and waits for nobody; the ring runs on from tile to tile, and is
// filled before the kernel that makes x has ended.
#include "backends/cuda/kernels/epilogue.h"
#include "backends/cuda/kernels/language.h"
#include "backends/cuda/kernels/linear.h"
#include "backends/cuda/kernels/weight_values.h"

namespace cove::cuda {
namespace {

using namespace dev;

constexpr int kWarps = 8;
constexpr int kThreads = kWarps * 32;
constexpr int kSliceInputs = 128;  // of one warp and turn; with kWarps it fixes the order of every sum

// The weights' side: format, inputs of one scale (0: none in groups), row tiles of 16.
template <WeightFormat kFormatOf, int kGroupOf, int kTilesOf>
struct Kind {
  static constexpr WeightFormat kFormat = kFormatOf;
  static constexpr int kGroup = kGroupOf;
  static constexpr int kTiles = kTilesOf;
  static constexpr int kChunkInputs = 4 * kWordInputs<kFormat>;
  static constexpr int kChunks = kSliceInputs / kChunkInputs;  // of a slice
  static constexpr int kOctets = kWordInputs<kFormat> / 8;
  static constexpr int kScales = kGroup == 0 ? 0 : kChunkInputs / kGroup;  // of a chunk and row
  static constexpr int kStages = kTiles == 1 ? 6 : 3;                      // chunks under way
  static constexpr int kWords = 2 * kTiles;                                // of a lane and chunk: rows g and g + 8
  static constexpr size_t kWordBytes = size_t{kStages} * kWords * kThreads * 16;
  static constexpr size_t kScaleBytes = kScales == 0 ? 0 : size_t{kStages} * kTiles * kThreads * 4;
};

// A lane's places in the ring.
template <class K>
struct Ring {
  unsigned char* words;
  unsigned char* scales;

  __device__ __forceinline__ explicit Ring(unsigned char* shared)
      : words(shared + threadIdx.x * 16), scales(shared + K::kWordBytes + threadIdx.x * 4) {}
  __device__ __forceinline__ unsigned char* word(int stage, int i) const {
    return words + (stage * K::kWords + i) * (kThreads * 16);
  }
  __device__ __forceinline__ unsigned char* scale(int stage, int tile) const {
    return scales + (stage * K::kTiles + tile) * (kThreads * 4);
  }
};

// Where a lane's words lie: begin + tile * tile_step + chunk * chunk_step + half * half_step, tiles of 16 rows.
struct Source {
  const unsigned char* begin;
  int64_t tile_step;
  int64_t chunk_step;
  int64_t half_step;
};
__device__ __forceinline__ Source source_of(const WeightLayout& layout, const void* weight) {
  const auto* begin = static_cast<const unsigned char*>(weight);
  if (layout.group > 0) return {begin + lane() * 16, layout.chunks() * 1024, 1024, 512};
  return {begin + lane() / 4 * layout.pitch + lane() % 4 * 16, 16 * layout.pitch, 64, 8 * layout.pitch};
}

// The chunks of a warp in the order in which it takes them: of each tile the slices warp, warp + 8, ...
template <class K>
struct Walk {
  int64_t tile;   // of 16 * kTiles rows
  int64_t slice;  // of kSliceInputs
  int chunk;      // of the slice
  int64_t tiles;
  int64_t slices;

  __device__ __forceinline__ explicit Walk(const WeightLayout& layout)
      : tile(blockIdx.x),
        slice(threadIdx.x / 32),
        chunk(0),
        tiles((layout.rows / 16 + K::kTiles - 1) / K::kTiles),
        slices(layout.padded / kSliceInputs) {
    if (slice >= slices) tile = tiles;  // fewer inputs than warps: nothing to do
  }
  __device__ __forceinline__ bool ended() const { return tile >= tiles; }
  __device__ __forceinline__ int64_t in_row() const { return slice * K::kChunks + chunk; }
  __device__ __forceinline__ void next() {
    if (++chunk < K::kChunks) return;
    chunk = 0;
    slice += kWarps;
    if (slice < slices) return;
    slice = threadIdx.x / 32;
    tile += gridDim.x;
  }
};

// Asks for one chunk; a group of copies of its own, also when there is nothing left.
template <class K>
__device__ __forceinline__ void ask(const DeviceWeight& weight, const Source& source, Walk<K>& walk,
                                    const Ring<K>& ring, int stage) {
  if (!walk.ended()) {
    const int64_t row_tiles = weight.layout.rows / 16;
#pragma unroll
    for (int tile = 0; tile < K::kTiles; ++tile) {
      const int64_t at = walk.tile * K::kTiles + tile;
      const bool there = K::kTiles == 1 || at < row_tiles;
      const unsigned char* from =
          source.begin + (there ? at : 0) * source.tile_step + walk.in_row() * source.chunk_step;
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        copy_async(ring.word(stage, 2 * tile + half), from + half * source.half_step, there);
      }
      if constexpr (K::kScales > 0) {
        const int64_t scale = (at * weight.layout.chunks() + walk.in_row()) * K::kScales + lane() % K::kScales;
        const int64_t pair = (there ? scale : 0) * 8 + lane() / 4;
        copy_async_4(ring.scale(stage, tile), weight.group_scale + 2 * pair);
      }
    }
    walk.next();
  }
  copy_commit();
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

// Scales of rows g and g + 8 for octet `octet`: the lane of the quad that has them gives them to the others.
template <class K>
__device__ __forceinline__ void scales_of(uint32_t mine, int octet, float& low, float& high) {
  uint32_t pair = mine;
  if constexpr (K::kScales > 1) pair = shuffle(mine, lane() / 4 * 4 + octet);
  low = from_f16(static_cast<uint16_t>(pair));
  high = from_f16(static_cast<uint16_t>(pair >> 16));
}

// The inputs that go with octet `octet` of a chunk that begins at input `begin`, for each eight tokens.
template <class K, int kGroups>
__device__ __forceinline__ void load_x(const LinearLaunch& a, int64_t first_token, int64_t begin, int octet,
                                       Vec4 (&x)[kGroups]) {
#pragma unroll
  for (int n = 0; n < kGroups; ++n) {
    x[n] = load_inputs(a, first_token + 8 * n + lane() / 4, begin + octet_begin<K::kFormat>(lane() % 4, octet));
  }
}

// sums += words x; group formats: the sum over each group's inputs times its scale.
template <class K, int kGroups>
__device__ __forceinline__ void multiply_plain(const Vec4 (&words)[K::kWords], const Vec4 (&x)[K::kOctets][kGroups],
                                               float (&sums)[K::kTiles][kGroups][4]) {
#pragma unroll
  for (int octet = 0; octet < K::kOctets; ++octet) {
#pragma unroll
    for (int tile = 0; tile < K::kTiles; ++tile) {
      uint32_t low[4];
      uint32_t high[4];
      octet_values<K::kFormat>(words[2 * tile], octet, low);
      octet_values<K::kFormat>(words[2 * tile + 1], octet, high);
#pragma unroll
      for (int n = 0; n < kGroups; ++n) multiply_octet(low, high, x[octet][n], sums[tile][n]);
    }
  }
}

// kQ4 is multiplied with its offset, and the offset times the sum of x is taken away by a product of its own, which
// costs the matrix units little and the rest of the multiprocessor nothing.
template <class K, int kGroups>
__device__ __forceinline__ void group_begin(const Vec4 (&x)[K::kOctets][kGroups], int first_octet, int end_octet,
                                            float (&block)[kGroups][4]) {
  const uint32_t offset[4] = {kMinusNibbleOffset, kMinusNibbleOffset, kMinusNibbleOffset, kMinusNibbleOffset};
#pragma unroll
  for (int n = 0; n < kGroups; ++n) {
    block[n][0] = block[n][1] = block[n][2] = block[n][3] = 0;
    if constexpr (K::kFormat == WeightFormat::kQ4) {
#pragma unroll
      for (int octet = first_octet; octet < end_octet; ++octet) multiply_octet(offset, offset, x[octet][n], block[n]);
    }
  }
}

template <class K>
__device__ __forceinline__ void group_octet(const Vec4& word, int octet, uint32_t (&pairs)[4]) {
  if constexpr (K::kFormat == WeightFormat::kQ4) {
    const uint32_t bits = octet == 0 ? word.x : octet == 1 ? word.y : octet == 2 ? word.z : word.w;
#pragma unroll
    for (int j = 0; j < 4; ++j) pairs[j] = nibbles_plus_offset(bits, j);
  } else {
    octet_values<K::kFormat>(word, octet, pairs);
  }
}

template <class K, int kGroups>
__device__ __forceinline__ void multiply_groups(const Vec4 (&words)[K::kWords], const uint32_t (&scales)[K::kTiles],
                                                const Vec4 (&x)[K::kOctets][kGroups],
                                                float (&sums)[K::kTiles][kGroups][4]) {
  constexpr int kOctets = K::kOctets / K::kScales;  // of a group within a chunk
#pragma unroll
  for (int group = 0; group < K::kScales; ++group) {
    float begin[kGroups][4];
    group_begin<K, kGroups>(x, group * kOctets, (group + 1) * kOctets, begin);
#pragma unroll
    for (int tile = 0; tile < K::kTiles; ++tile) {
      float block[kGroups][4];
#pragma unroll
      for (int n = 0; n < kGroups; ++n) {
#pragma unroll
        for (int i = 0; i < 4; ++i) block[n][i] = begin[n][i];
      }
#pragma unroll
      for (int octet = group * kOctets; octet < (group + 1) * kOctets; ++octet) {
        uint32_t low[4];
        uint32_t high[4];
        group_octet<K>(words[2 * tile], octet, low);
        group_octet<K>(words[2 * tile + 1], octet, high);
#pragma unroll
        for (int n = 0; n < kGroups; ++n) multiply_octet(low, high, x[octet][n], block[n]);
      }
      float low_scale;
      float high_scale;
      scales_of<K>(scales[tile], group, low_scale, high_scale);
#pragma unroll
      for (int n = 0; n < kGroups; ++n) {
        sums[tile][n][0] = fused(low_scale, block[n][0], sums[tile][n][0]);
        sums[tile][n][1] = fused(low_scale, block[n][1], sums[tile][n][1]);
        sums[tile][n][2] = fused(high_scale, block[n][2], sums[tile][n][2]);
        sums[tile][n][3] = fused(high_scale, block[n][3], sums[tile][n][3]);
      }
    }
  }
}

// Takes the chunk that lies in `stage` and asks for the one that goes there next.
template <class K, int kGroups>
__device__ __forceinline__ void take_chunk(const LinearLaunch& a, const Source& source, Walk<K>& ahead,
                                           const Ring<K>& ring, int stage, const Vec4 (&x)[K::kOctets][kGroups],
                                           float (&sums)[K::kTiles][kGroups][4]) {
  copy_wait<K::kStages - 1>();
  Vec4 words[K::kWords];
#pragma unroll
  for (int i = 0; i < K::kWords; ++i) words[i] = *reinterpret_cast<const Vec4*>(ring.word(stage, i));
  if constexpr (K::kScales > 0) {
    uint32_t scales[K::kTiles];
#pragma unroll
    for (int i = 0; i < K::kTiles; ++i) scales[i] = *reinterpret_cast<const uint32_t*>(ring.scale(stage, i));
    multiply_groups<K, kGroups>(words, scales, x, sums);
  } else {
    multiply_plain<K, kGroups>(words, x, sums);
  }
  ask<K>(a.weight, source, ahead, ring, stage);  // all of the stage is in registers
}

// The warps' sums meet: [warp][row][token], added in the order of the warps.
template <class K, int kGroups>
__device__ __forceinline__ void add_up(const LinearLaunch& a, int64_t first_row, int64_t first_token, float* shared,
                                       const float (&sums)[K::kTiles][kGroups][4]) {
  constexpr int kRows = 16 * K::kTiles;
  constexpr int kTokens = 8 * kGroups;
  float* mine = shared + static_cast<int>(threadIdx.x / 32) * kRows * kTokens;
#pragma unroll
  for (int tile = 0; tile < K::kTiles; ++tile) {
#pragma unroll
    for (int n = 0; n < kGroups; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int row = 16 * tile + lane() / 4 + i / 2 * 8;
        mine[row * kTokens + 8 * n + lane() % 4 * 2 + i % 2] = sums[tile][n][i];
      }
    }
  }
  block_sync();  // all warps' sums are there
  const auto total = [&](int row, int token) {
    float sum = 0;
#pragma unroll
    for (int warp = 0; warp < kWarps; ++warp) sum += shared[(warp * kRows + row) * kTokens + token];
    return a.weight.layout.has_row_scales() ? sum * a.weight.row_scale[first_row + row] : sum;
  };
  const int outputs = a.swiglu ? kRows / 2 : kRows;
  for (int i = static_cast<int>(threadIdx.x); i < outputs * kTokens; i += kThreads) {
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

template <class K, int kGroups>
constexpr size_t kSumBytes = sizeof(float) * kWarps * 16 * K::kTiles * 8 * kGroups;  // of one tile

// grid: blocks that stay, groups of 8 * kGroups tokens.
template <class K, int kGroups>
__global__ void __launch_bounds__(kThreads) skinny_kernel(LinearLaunch a) {
  const int64_t first_token = static_cast<int64_t>(blockIdx.y) * 8 * kGroups;
  const Source source = source_of(a.weight.layout, a.weight.weight);
  const Ring<K> ring(shared_memory());
  unsigned char* sum_memory = shared_memory() + K::kWordBytes + K::kScaleBytes;
  Walk<K> ahead(a.weight.layout);
  Walk<K> here = ahead;
  for (int i = 0; i < K::kStages; ++i) ask<K>(a.weight, source, ahead, ring, i);
  let_next_kernel_start();
  wait_for_previous_kernel();

  int stage = 0;
  size_t sums_at = 0;  // two places in turn: one is read while the next tile's sums go to the other
  for (int64_t tile = blockIdx.x; tile < here.tiles; tile += gridDim.x) {
    float sums[K::kTiles][kGroups][4] = {};
    while (here.tile == tile) {
      Vec4 x[K::kOctets][kGroups];
#pragma unroll
      for (int octet = 0; octet < K::kOctets; ++octet) {
        load_x<K, kGroups>(a, first_token, here.in_row() * K::kChunkInputs, octet, x[octet]);
      }
      take_chunk<K, kGroups>(a, source, ahead, ring, stage, x, sums);
      stage = stage + 1 == K::kStages ? 0 : stage + 1;
      here.next();
    }
    add_up<K, kGroups>(a, tile * 16 * K::kTiles, first_token, reinterpret_cast<float*>(sum_memory + sums_at), sums);
    sums_at = sums_at == 0 ? kSumBytes<K, kGroups> : 0;
  }
  copy_wait<0>();
}

template <class K, int kGroups>
const char* launch_as(const LinearLaunch& args, void* stream) {
  const int64_t tiles = (args.weight.layout.rows / 16 + K::kTiles - 1) / K::kTiles;
  LaunchShape shape = {.grid_y = static_cast<unsigned>((args.tokens + 8 * kGroups - 1) / (8 * kGroups)),
                       .threads = kThreads,
                       .shared_bytes = K::kWordBytes + K::kScaleBytes + 2 * kSumBytes<K, kGroups>};
  static const int resident = resident_blocks(skinny_kernel<K, kGroups>, shape);
  const int64_t blocks = static_cast<int64_t>(resident) * args.multiprocessors;
  shape.grid_x = static_cast<unsigned>(blocks > 0 && blocks < tiles ? blocks : tiles);
  return launch(shape, stream, skinny_kernel<K, kGroups>, args);
}

template <WeightFormat kFormat, int kGroup>
const char* launch_format(const LinearLaunch& args, void* stream) {
  if (args.tokens <= 8) return launch_as<Kind<kFormat, kGroup, 1>, 1>(args, stream);
  if (args.tokens <= 16) return launch_as<Kind<kFormat, kGroup, 2>, 2>(args, stream);
  constexpr int kTiles = kFormat == WeightFormat::kQ4 ? 1 : 2;  // four octets of x fill the registers
  return launch_as<Kind<kFormat, kGroup, kTiles>, 4>(args, stream);
}

}  // namespace

const char* launch_skinny(const LinearLaunch& args, void* stream) {
  if (args.tokens == 0) return nullptr;
  switch (args.weight.layout.format) {
    case WeightFormat::kBF16: return launch_format<WeightFormat::kBF16, 0>(args, stream);
    case WeightFormat::kQ8: return launch_format<WeightFormat::kQ8, 32>(args, stream);
    case WeightFormat::kQ4:
      return args.weight.layout.group == 32 ? launch_format<WeightFormat::kQ4, 32>(args, stream)
                                            : launch_format<WeightFormat::kQ4, 128>(args, stream);
    case WeightFormat::kInt8: return launch_format<WeightFormat::kInt8, 0>(args, stream);
    default: return launch_format<WeightFormat::kE4M3, 0>(args, stream);
  }
}

}  // namespace cove::cuda
