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
#include "backends/cuda/kernels/skinny_parts.h"

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
  static constexpr int kTiles = kTilesOf;
  static constexpr int kChunkInputs = 4 * kWordInputs<kFormat>;
  static constexpr int kChunks = kSliceInputs / kChunkInputs;  // of a slice
  static constexpr int kOctets = kWordInputs<kFormat> / 8;
  static constexpr int kScales = kGroupOf == 0 ? 0 : kChunkInputs / kGroupOf;  // of a chunk and row
  // Chunks under way. Two or three blocks a multiprocessor, and as many of the next kernel, are to fit side by side.
  static constexpr int kStages = kTiles == 2 ? 3 : kFormat == WeightFormat::kBF16 ? 6 : 4;
  static constexpr int kBlocks = kTiles == 1 && kFormat != WeightFormat::kBF16 ? 3 : 2;  // a multiprocessor
  static constexpr int kWords = 2 * kTiles;        // of a lane and chunk: rows g and g + 8
  static constexpr int kScaleBytes = 4 * kScales;  // of a lane, chunk and tile
  static constexpr size_t kRingBytes = size_t{kStages} * kTiles * kThreads * (32 + kScaleBytes);
};

// A lane's places in the ring: a stage's words, then its scales.
template <class K>
struct Ring {
  unsigned char* words;
  unsigned char* scales;
  int stage = 0;

  __device__ __forceinline__ explicit Ring(unsigned char* shared)
      : words(shared + threadIdx.x * 16),
        scales(shared + K::kStages * K::kWords * kThreads * 16 + threadIdx.x * K::kScaleBytes) {}
  __device__ __forceinline__ unsigned char* word(int i) const {
    return words + (stage * K::kWords + i) * (kThreads * 16);
  }
  __device__ __forceinline__ unsigned char* scale(int tile) const {
    return scales + (stage * K::kTiles + tile) * (kThreads * K::kScaleBytes);
  }
  __device__ __forceinline__ void next() { stage = stage + 1 == K::kStages ? 0 : stage + 1; }
};

// What a warp's lanes read: of each tile of the block the slices warp, warp + 8, ..., chunk by chunk.
template <class K>
struct Feed {
  const unsigned char* begin;   // of this lane in the first tile and the warp's first slice
  const unsigned char* scales;  // likewise
  const unsigned char* from;    // of the next chunk
  const unsigned char* scale;
  int64_t tile_step;  // bytes between tiles of 16 rows
  int32_t half_step;  // between rows g and g + 8
  int32_t chunk_step;
  int32_t tile;  // the next chunk's, of 16 * kTiles rows
  int32_t tiles;
  int32_t row_tiles;   // of 16 rows
  int32_t chunk = 0;   // of the slice
  int32_t slices;      // left of the tile
  int32_t slices_all;  // of a tile that are this warp's

  __device__ __forceinline__ explicit Feed(const DeviceWeight& weight) {
    const WeightLayout& layout = weight.layout;
    const auto warp = static_cast<int32_t>(threadIdx.x / 32);
    const bool panels = K::kScales > 0;
    const auto* words = static_cast<const unsigned char*>(weight.weight);
    tile_step = 16 * layout.pitch;
    chunk_step = panels ? 1024 : 64;
    half_step = panels ? 512 : static_cast<int32_t>(8 * layout.pitch);
    begin = words + (panels ? lane() * 16 : lane() / 4 * layout.pitch + lane() % 4 * 16);
    begin += static_cast<int64_t>(warp) * K::kChunks * chunk_step;
    scales = reinterpret_cast<const unsigned char*>(weight.group_scale) + lane() / 4 * K::kScaleBytes +
             static_cast<int64_t>(warp) * K::kChunks * 8 * K::kScaleBytes;
    row_tiles = static_cast<int32_t>(layout.rows / 16);
    tiles = (row_tiles + K::kTiles - 1) / K::kTiles;
    const auto row_slices = static_cast<int32_t>(layout.padded / kSliceInputs);
    slices_all = row_slices > warp ? (row_slices - warp + kWarps - 1) / kWarps : 0;
    open(slices_all > 0 ? static_cast<int32_t>(blockIdx.x) : tiles);
  }
  __device__ __forceinline__ void open(int32_t next_tile) {
    tile = next_tile;
    slices = slices_all;
    from = begin + static_cast<int64_t>(tile) * K::kTiles * tile_step;
    scale = scales + static_cast<int64_t>(tile) * K::kTiles * scale_step();
  }
  __device__ __forceinline__ int64_t scale_step() const { return tile_step / 1024 * (8 * K::kScaleBytes); }
  __device__ __forceinline__ void next() {
    from += chunk_step;
    scale += 8 * K::kScaleBytes;
    if (++chunk < K::kChunks) return;
    chunk = 0;
    from += (kWarps - 1) * K::kChunks * chunk_step;
    scale += (kWarps - 1) * K::kChunks * 8 * K::kScaleBytes;
    if (--slices == 0) open(tile + static_cast<int32_t>(gridDim.x));
  }
};

// Asks for the next chunk; a group of copies of its own, also when there is nothing left.
template <class K>
__device__ __forceinline__ void ask(Feed<K>& feed, const Ring<K>& ring) {
  if (feed.tile < feed.tiles) {
#pragma unroll
    for (int tile = 0; tile < K::kTiles; ++tile) {
      const bool there = tile == 0 || feed.tile * K::kTiles + tile < feed.row_tiles;
      const unsigned char* from = feed.from + (there ? tile * feed.tile_step : 0);
      copy_async(ring.word(2 * tile), from, there);
      copy_async(ring.word(2 * tile + 1), from + feed.half_step, there);
      if constexpr (K::kScales > 0) {
        copy_async_small<K::kScaleBytes>(shared_at(ring.scale(tile)),
                                         feed.scale + (there ? tile * feed.scale_step() : 0), true);
      }
    }
    feed.next();
  }
  copy_commit();
}

// Where lane t's four octets of a slice begin: at lane_begin + octet_at(i).
template <class K>
__device__ __forceinline__ int lane_begin() {
  return octet_begin<K::kFormat>(lane() % 4, 0);
}
template <class K>
__device__ __forceinline__ constexpr int octet_at(int i) {
  return i / K::kOctets * K::kChunkInputs + octet_begin<K::kFormat>(0, i % K::kOctets);
}

// The inputs of a slice for tokens first_token + 8 n + lane / 4: zeros where there are none.
template <class K, int kOctets, int kGroups>
__device__ __forceinline__ void load_x(const LinearLaunch& a, int64_t first_token, int32_t begin, int first_octet,
                                       Vec4 (&x)[kOctets][kGroups]) {
  const auto inputs = static_cast<int32_t>(a.weight.layout.inputs);
  const int32_t at = begin + lane_begin<K>();
#pragma unroll
  for (int n = 0; n < kGroups; ++n) {
    const int64_t token = first_token + 8 * n + lane() / 4;
    const int32_t left = token < a.tokens ? inputs - at : 0;
    const auto* from = static_cast<const uint16_t*>(a.x) + token * inputs + at;
#pragma unroll
    for (int i = 0; i < kOctets; ++i) {
      const int offset = octet_at<K>(first_octet + i);
      x[i][n] = {0, 0, 0, 0};
      if (offset < left) {
        x[i][n] = inputs % 8 == 0 ? *reinterpret_cast<const Vec4*>(from + offset) : load_inputs(a, token, at + offset);
      }
    }
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
      for (int n = 0; n < kGroups; ++n) multiply_octet<Operands::kBF16>(low, high, x[octet][n], sums[tile][n]);
    }
  }
}

// What a group's sum begins with, for all tiles.
template <class K, int kGroups>
__device__ __forceinline__ void group_begin(const Vec4 (&x)[K::kOctets][kGroups], int first_octet, int end_octet,
                                            float (&block)[kGroups][4]) {
#pragma unroll
  for (int n = 0; n < kGroups; ++n) {
    block[n][0] = block[n][1] = block[n][2] = block[n][3] = 0;
    if constexpr (K::kFormat == WeightFormat::kQ4) {
#pragma unroll
      for (int octet = first_octet; octet < end_octet; ++octet) take_offset(x[octet][n], block[n]);
    }
  }
}

// The scales of a lane: pairs of f16, rows g and g + 8.
template <class K>
__device__ __forceinline__ void read_scales(const unsigned char* from, uint32_t (&scales)[K::kScales]) {
  if constexpr (K::kScales == 4) {
    const Vec4 four = *reinterpret_cast<const Vec4*>(from);
    scales[0] = four.x;
    scales[1] = four.y;
    scales[2] = four.z;
    scales[3] = four.w;
  } else if constexpr (K::kScales == 2) {
    const Vec2 two = *reinterpret_cast<const Vec2*>(from);
    scales[0] = two.x;
    scales[1] = two.y;
  } else {
    scales[0] = *reinterpret_cast<const uint32_t*>(from);
  }
}

template <class K, int kGroups>
__device__ __forceinline__ void multiply_groups(const Vec4 (&words)[K::kWords],
                                                const uint32_t (&scales)[K::kTiles][K::kScales],
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
        group_octet<K::kFormat>(words[2 * tile], octet, low);
        group_octet<K::kFormat>(words[2 * tile + 1], octet, high);
#pragma unroll
        for (int n = 0; n < kGroups; ++n) multiply_octet<Operands::kBF16>(low, high, x[octet][n], block[n]);
      }
      const float low_scale = from_f16(static_cast<uint16_t>(scales[tile][group]));
      const float high_scale = from_f16(static_cast<uint16_t>(scales[tile][group] >> 16));
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

// Takes the oldest chunk of the ring and asks for the one that comes in its place.
template <class K, int kGroups>
__device__ __forceinline__ void take_chunk(Feed<K>& feed, Ring<K>& ring, const Vec4 (&x)[K::kOctets][kGroups],
                                           float (&sums)[K::kTiles][kGroups][4]) {
  copy_wait<K::kStages - 1>();
  Vec4 words[K::kWords];
#pragma unroll
  for (int i = 0; i < K::kWords; ++i) words[i] = *reinterpret_cast<const Vec4*>(ring.word(i));
  if constexpr (K::kScales > 0) {
    uint32_t scales[K::kTiles][K::kScales];
#pragma unroll
    for (int i = 0; i < K::kTiles; ++i) read_scales<K>(ring.scale(i), scales[i]);
    multiply_groups<K, kGroups>(words, scales, x, sums);
  } else {
    multiply_plain<K, kGroups>(words, x, sums);
  }
  ask<K>(feed, ring);  // all of the stage is in registers
  ring.next();
}

// One slice. x: its inputs, or nothing for more than eight tokens, where registers are short: then chunk by chunk.
template <class K, int kGroups>
__device__ __forceinline__ void take_slice(const LinearLaunch& a, int64_t first_token, int32_t begin, Feed<K>& feed,
                                           Ring<K>& ring, const Vec4 (&x)[4][1], float (&sums)[K::kTiles][kGroups][4]) {
#pragma unroll
  for (int chunk = 0; chunk < K::kChunks; ++chunk) {
    Vec4 of_chunk[K::kOctets][kGroups];
    if constexpr (kGroups == 1) {
#pragma unroll
      for (int i = 0; i < K::kOctets; ++i) of_chunk[i][0] = x[chunk * K::kOctets + i][0];
    } else {
      load_x<K>(a, first_token, begin, chunk * K::kOctets, of_chunk);
    }
    take_chunk<K, kGroups>(feed, ring, of_chunk, sums);
  }
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
  const int shift = (K::kTiles == 1 ? 4 : 5) - (a.swiglu ? 1 : 0);  // 2^shift outputs
  for (int i = static_cast<int>(threadIdx.x); i < kTokens << shift; i += kThreads) {
    const int token = i >> shift;
    const int output = i & ((1 << shift) - 1);
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
// Places for sums: two in turn, so that one is read while the next tile's sums go to the other; one, with a barrier
// more, where two would be more than every GPU gives a block.
template <class K>
constexpr int kSumPlaces = K::kTiles == 1 ? 2 : 1;

// grid: blocks that stay, groups of 8 * kGroups tokens.
template <class K, int kGroups>
__global__ void __launch_bounds__(kThreads) skinny_kernel(LinearLaunch a) {
  const int64_t first_token = static_cast<int64_t>(blockIdx.y) * 8 * kGroups;
  Ring<K> ring(shared_memory());
  unsigned char* sum_memory = shared_memory() + K::kRingBytes;
  Feed<K> feed(a.weight);
#pragma unroll 1
  for (int i = 0; i < K::kStages; ++i, ring.next()) ask<K>(feed, ring);
  let_next_kernel_start();
  wait_for_previous_kernel();

  const auto warp_begin = static_cast<int32_t>(threadIdx.x / 32) * kSliceInputs;
  Vec4 x[4][1];  // of the slice that comes next
  if constexpr (kGroups == 1) load_x<K>(a, first_token, warp_begin, 0, x);
  size_t sums_at = 0;
  for (int32_t tile = static_cast<int32_t>(blockIdx.x); tile < feed.tiles; tile += static_cast<int32_t>(gridDim.x)) {
    float sums[K::kTiles][kGroups][4] = {};
    int32_t begin = warp_begin;
#pragma unroll 1
    for (int32_t slice = 0; slice < feed.slices_all; ++slice) {
      Vec4 now[4][1];
      const int32_t next = slice + 1 < feed.slices_all ? begin + kWarps * kSliceInputs : warp_begin;
      if constexpr (kGroups == 1) {
#pragma unroll
        for (int i = 0; i < 4; ++i) now[i][0] = x[i][0];
        load_x<K>(a, first_token, next, 0, x);
      }
      take_slice<K, kGroups>(a, first_token, begin, feed, ring, now, sums);
      begin = next;
    }
    add_up<K, kGroups>(a, static_cast<int64_t>(tile) * 16 * K::kTiles, first_token,
                       reinterpret_cast<float*>(sum_memory + sums_at), sums);
    if constexpr (kSumPlaces<K> == 2) {
      sums_at = sums_at == 0 ? kSumBytes<K, kGroups> : 0;
    } else {
      block_sync();  // all sums of this tile are read before the next tile's are written
    }
  }
  copy_wait<0>();
}

template <class K, int kGroups>
const char* launch_as(const LinearLaunch& args, void* stream) {
  const int64_t tiles = (args.weight.layout.rows / 16 + K::kTiles - 1) / K::kTiles;
  const int64_t blocks = int64_t{K::kBlocks} * args.multiprocessors;
  const LaunchShape shape = {.grid_x = static_cast<unsigned>(blocks > 0 && blocks < tiles ? blocks : tiles),
                             .grid_y = static_cast<unsigned>((args.tokens + 8 * kGroups - 1) / (8 * kGroups)),
                             .threads = kThreads,
                             .shared_bytes = K::kRingBytes + kSumPlaces<K> * kSumBytes<K, kGroups>};
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
