// y = W x for at most eight tokens: what decoding a few sequences spends its time in.
//
// 1 out[t][n] = sum_k w[n][k] x[t][k]; with norm_scale x is first normed: x / sqrt(mean(x^2) + eps) * scale
// 2 shapes: linear.h, weight_layout.h                 3 as skinny.cu
// 4 a tile is 16 physical rows. Either a block's eight warps share its inputs, each an eighth of the chunks, and their
// sums meet in shared memory; or, where there are tiles enough, every warp has tiles of its own and meets nobody
// 5 the weights' bytes bind: 4 bits leave 60 cycles of a multiprocessor for 1 KB of them, so that instructions bind
// unless they are few. Inputs lie in shared memory where they fit; lanes without a token read zeros
// 6 sums in f32, group scales multiply the sum of their inputs. bf16 weights x bf16; all others x f16, in which bytes
// and nibbles become numbers by putting them in place, and into which inputs up to 65 504 in size fit (all that occur)
// 7 own; see skinny.cu for the operands' order. Rings of copies (cp.async) run from before the kernel that makes x has
// ended, from tile to tile. Sums depend on the weights' shape alone, but not in the order of skinny.cu
#include "backends/cuda/kernels/epilogue.h"
#include "backends/cuda/kernels/language.h"
#include "backends/cuda/kernels/linear.h"
#include "backends/cuda/kernels/norm_parts.h"
#include "backends/cuda/kernels/skinny_parts.h"

namespace cove::cuda {
namespace {

using namespace dev;

constexpr int kWarps = 8;
constexpr int kThreads = kWarps * 32;
constexpr int kZeroBytes = 256;           // read by lanes without a token
constexpr int kTokenPad = 64;             // bytes behind a token's inputs, so that tokens fall on different banks
constexpr int kNormFew = 4096;            // inputs that two octets a thread hold
constexpr int kNormMost = 8192;           // and four
constexpr int64_t kStagedMax = 80 << 10;  // of inputs in shared memory

template <WeightFormat kFormatOf, int kGroupOf>
struct Kind {
  static constexpr WeightFormat kFormat = kFormatOf;
  static constexpr int kChunkInputs = 4 * kWordInputs<kFormat>;
  static constexpr int kOctets = kWordInputs<kFormat> / 8;
  static constexpr int kScales = kGroupOf == 0 ? 0 : kChunkInputs / kGroupOf;  // of a chunk and row
  static constexpr bool kPanels = kScales > 0;
  static constexpr bool kHalf = kFormat != WeightFormat::kBF16;          // multiplied in f16
  static constexpr int kStageBytes = (kPanels ? 3 : 2) * 16 * kThreads;  // rows g, rows g + 8, scales
  static constexpr int kStages = kPanels ? 4 : 6;
  static constexpr int kRingBytes = kStages * kStageBytes;
  static constexpr int kChunkStep = kPanels ? 1024 : 64;  // bytes between chunks of a lane's rows
  static constexpr int kScaleStep = 32 * kScales;         // bytes between the scales of chunks
};

// What the launch decides about a tile's work.
struct VectorShape {
  int32_t sharers = kWarps;  // warps of a tile: all, or one
  int32_t x_pitch = 0;       // bytes from token to token of inputs in shared memory
};

// A warp's chunks: those from `first` on of tiles `tile`, tile + tile_step, ...
struct Work {
  int32_t tile;
  int32_t tile_step;
  int32_t tiles;
  int32_t first;
  int32_t chunks;
  int32_t asks_from;  // tile, or none where rows have fewer chunks than there are warps

  __device__ __forceinline__ Work(const WeightLayout& layout, int32_t sharers) {
    const auto warp = static_cast<int32_t>(threadIdx.x / 32);
    const auto all = static_cast<int32_t>(layout.chunks());
    tiles = static_cast<int32_t>(layout.rows / 16);
    if (sharers == 1) {
      tile = warp * static_cast<int32_t>(gridDim.x) + static_cast<int32_t>(blockIdx.x);
      tile_step = kWarps * static_cast<int32_t>(gridDim.x);
      first = 0;
      chunks = all;
    } else {
      tile = static_cast<int32_t>(blockIdx.x);
      tile_step = static_cast<int32_t>(gridDim.x);
      first = all * warp / kWarps;
      chunks = all * (warp + 1) / kWarps - first;
    }
    asks_from = chunks > 0 ? tile : tiles;
  }
};

// Asks for chunks, in the order in which they are multiplied.
template <class K>
struct Feed {
  const unsigned char* begin;  // of this lane in tile 0, chunk `first`
  const unsigned char* scales;
  const unsigned char* from;
  const unsigned char* scale;
  int64_t tile_bytes;
  int32_t half_step;
  int32_t scale_tile_bytes;
  int32_t left;  // chunks of the tile
  int32_t tile;

  __device__ __forceinline__ Feed(const DeviceWeight& weight, const Work& work)
      : left(work.chunks), tile(work.asks_from) {
    const WeightLayout& layout = weight.layout;
    begin = static_cast<const unsigned char*>(weight.weight) +
            (K::kPanels ? lane() * 16 : lane() / 4 * layout.pitch + lane() % 4 * 16) + work.first * K::kChunkStep;
    scales = reinterpret_cast<const unsigned char*>(weight.group_scale) + lane() / 4 * (4 * K::kScales) +
             work.first * K::kScaleStep;
    tile_bytes = 16 * layout.pitch;
    half_step = K::kPanels ? 512 : static_cast<int32_t>(8 * layout.pitch);
    scale_tile_bytes = static_cast<int32_t>(layout.chunks()) * K::kScaleStep;
    open();
  }
  __device__ __forceinline__ void open() {
    from = begin + tile * tile_bytes;
    scale = scales + static_cast<int64_t>(tile) * scale_tile_bytes;
  }
  // Into the stage at `to`; a group of copies of its own, of zeros when nothing is left.
  __device__ __forceinline__ void ask(const Work& work, SharedAt to) {
    const bool there = tile < work.tiles;
    copy_async_at(to, from, there);
    copy_async_at(to + 16 * kThreads, from + (K::kPanels ? 512 : half_step), there);
    if constexpr (K::kPanels) copy_async_small<4 * K::kScales>(to + 32 * kThreads, scale, there);
    copy_commit();
    from += K::kChunkStep;
    scale += K::kScaleStep;
    if (--left == 0) {
      left = work.chunks;
      tile += work.tile_step;
      open();
    }
  }
};

// --- Inputs ---

// Where in a token's row a lane's octets of a chunk begin, in bytes: lane_offset() + octet_offset(i).
template <class K>
__device__ __forceinline__ int lane_offset() {
  return 2 * octet_begin<K::kFormat>(lane() % 4, 0);
}
template <class K>
__device__ __forceinline__ constexpr int octet_offset(int i) {
  return 2 * octet_begin<K::kFormat>(0, i);
}

template <class K>
__device__ __forceinline__ Vec4 as_multiplied(const Vec4& x) {
  if constexpr (K::kHalf) {
    return inputs_to_f16<K::kFormat>(x);
  } else {
    return x;
  }
}

// Copies x into shared memory, zeros behind the last input.
template <class K>
__device__ __forceinline__ void stage_x(const LinearLaunch& a, int32_t pitch, unsigned char* to) {
  const auto octets = static_cast<int32_t>(a.weight.layout.padded / 8);
#pragma unroll 1
  for (int32_t token = 0; token < a.tokens; ++token, to += pitch) {
#pragma unroll 2
    for (auto octet = static_cast<int32_t>(threadIdx.x); octet < octets; octet += kThreads)
      reinterpret_cast<Vec4*>(to)[octet] = as_multiplied<K>(load_inputs(a, token, octet * 8));
  }
}

// The same for one token, normed: kHeld octets a thread, whose scales were loaded before x was there.
template <class K, int kHeld>
__device__ __forceinline__ void stage_normed(const LinearLaunch& a, unsigned char* to, float* partial,
                                             const float (&scale)[kHeld][8]) {
  const auto octets = static_cast<uint32_t>(a.weight.layout.inputs / 8);
  const auto padded = static_cast<uint32_t>(a.weight.layout.padded / 8);
  Vec4 held[kHeld];
  float sum = 0;
#pragma unroll
  for (int i = 0; i < kHeld; ++i) {
    const uint32_t octet = threadIdx.x + static_cast<uint32_t>(i * kThreads);
    held[i] = octet < octets ? static_cast<const Vec4*>(a.x)[octet] : Vec4{0, 0, 0, 0};
    sum = squares(held[i], sum);
  }
  const float mean = block_sum(sum, partial) * (1.0F / static_cast<float>(a.weight.layout.inputs));
  const float inverse = reciprocal_sqrt(mean + a.norm_eps);
#pragma unroll
  for (int i = 0; i < kHeld; ++i) {
    const uint32_t octet = threadIdx.x + static_cast<uint32_t>(i * kThreads);
    if (octet < padded) reinterpret_cast<Vec4*>(to)[octet] = as_multiplied<K>(scale_octet(held[i], inverse, scale[i]));
  }
}

// A lane's inputs, chunk by chunk.
template <class K, bool kStaged>
struct Inputs;

template <class K>
struct Inputs<K, true> {
  SharedAt begin;
  SharedAt at;
  int32_t step;

  // staged: the tokens' rows; zeros: kZeroBytes of them.
  __device__ __forceinline__ Inputs(const LinearLaunch& a, const Work& work, int32_t pitch, SharedAt staged,
                                    SharedAt zeros) {
    const bool has_token = lane() / 4 < a.tokens;
    step = has_token ? K::kChunkInputs * 2 : 0;
    begin = (has_token ? staged + lane() / 4 * pitch : zeros) + lane_offset<K>() + work.first * step;
    at = begin;
  }
  __device__ __forceinline__ void next(Vec4 (&x)[K::kOctets]) {
#pragma unroll
    for (int i = 0; i < K::kOctets; ++i) x[i] = load_shared_16(at + octet_offset<K>(i));
    at += step;
  }
  __device__ __forceinline__ void rewind() { at = begin; }
};

// Out of L1 and L2, a chunk ahead.
template <class K>
struct Inputs<K, false> {
  const LinearLaunch& a;
  int32_t first;
  int32_t chunk;
  int32_t end;
  Vec4 ahead[K::kOctets];

  __device__ __forceinline__ Inputs(const LinearLaunch& launch, const Work& work)
      : a(launch), first(work.first), chunk(work.first), end(work.first + work.chunks) {
    load();
  }
  __device__ __forceinline__ void load() {
    const int32_t begin = chunk * K::kChunkInputs + lane_offset<K>() / 2;
#pragma unroll
    for (int i = 0; i < K::kOctets; ++i) ahead[i] = load_inputs(a, lane() / 4, begin + octet_offset<K>(i) / 2);
  }
  __device__ __forceinline__ void next(Vec4 (&x)[K::kOctets]) {
#pragma unroll
    for (int i = 0; i < K::kOctets; ++i) x[i] = as_multiplied<K>(ahead[i]);
    chunk = chunk + 1 == end ? first : chunk + 1;
    load();
  }
  __device__ __forceinline__ void rewind() {}
};

// --- Products ---

template <class K>
__device__ __forceinline__ void multiply_octets(const Vec4& low_word, const Vec4& high_word, int octet, const Vec4& x,
                                                float (&sum)[4]) {
  uint32_t low[4];
  uint32_t high[4];
  if constexpr (K::kHalf) {
    half_octet<K::kFormat>(low_word, octet, low);
    half_octet<K::kFormat>(high_word, octet, high);
    take_half_offset<K::kFormat>(x, sum);
    multiply_octet<Operands::kF16>(low, high, x, sum);
  } else {
    octet_values<K::kFormat>(low_word, octet, low);
    octet_values<K::kFormat>(high_word, octet, high);
    multiply_octet<Operands::kBF16>(low, high, x, sum);
  }
}

template <class K>
__device__ __forceinline__ void multiply_chunk(SharedAt stage, const Vec4 (&x)[K::kOctets], float (&sums)[4]) {
  const Vec4 low_word = load_shared_16(stage);
  const Vec4 high_word = load_shared_16(stage + 16 * kThreads);
  if constexpr (!K::kPanels) {
#pragma unroll
    for (int i = 0; i < K::kOctets; ++i) multiply_octets<K>(low_word, high_word, i, x[i], sums);
  } else {
    uint32_t scales[K::kScales];
    load_shared_words(stage + 32 * kThreads, scales);
    constexpr int kOctets = K::kOctets / K::kScales;  // of a group
#pragma unroll
    for (int group = 0; group < K::kScales; ++group) {
      float block[4] = {0, 0, 0, 0};
#pragma unroll
      for (int i = group * kOctets; i < (group + 1) * kOctets; ++i)
        multiply_octets<K>(low_word, high_word, i, x[i], block);
      const float low_scale = from_f16(static_cast<uint16_t>(scales[group]));
      const float high_scale = from_f16(static_cast<uint16_t>(scales[group] >> 16));
      sums[0] = fused(low_scale, block[0], sums[0]);
      sums[1] = fused(low_scale, block[1], sums[1]);
      sums[2] = fused(high_scale, block[2], sums[2]);
      sums[3] = fused(high_scale, block[3], sums[3]);
    }
  }
}

// --- Results ---

// Output `row` of a token: stored, or added to what is there.
__device__ __forceinline__ void finish_row(const LinearLaunch& a, int64_t token, int64_t row, float sum) {
  if (a.add_to == nullptr) {
    finish_plain(a, token, row, sum);
    return;
  }
  if (token >= a.tokens || row >= a.weight.layout.outputs) return;
  auto* at = static_cast<uint16_t*>(a.add_to) + token * a.weight.layout.outputs + row;
  *at = to_bf16(from_bf16(*at) + from_bf16(to_bf16(with_bias(a, row, sum))));  // as if out had been stored before
}

__device__ __forceinline__ void scale_rows(const LinearLaunch& a, int32_t tile, float (&sums)[4]) {
  if (!a.weight.layout.has_row_scales()) return;
  const float* scale = a.weight.row_scale + tile * 16 + lane() / 4;
  sums[0] *= scale[0];
  sums[1] *= scale[0];
  sums[2] *= scale[8];
  sums[3] *= scale[8];
}

// A warp's own tile: rows g and g + 8, tokens 2 t and 2 t + 1.
__device__ __forceinline__ void finish_alone(const LinearLaunch& a, int32_t tile, const float (&sums)[4]) {
  const int32_t row = tile * 16 + lane() / 4;
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const int32_t token = lane() % 4 * 2 + i;
    if (token >= a.tokens) break;
    if (a.swiglu) {
      finish_swiglu(a, token, row, sums[i], sums[2 + i]);
    } else {
      finish_row(a, token, row, sums[i]);
      finish_row(a, token, row + 8, sums[2 + i]);
    }
  }
}

// The block's tile: the warps' sums as [warp][token][row], added in the order of the warps.
__device__ __forceinline__ void finish_together(const LinearLaunch& a, int32_t tile, const float (&sums)[4],
                                                float* shared) {
  float* mine = shared + threadIdx.x / 32 * 128;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int32_t token = lane() % 4 * 2 + i % 2;
    if (token < a.tokens) mine[token * 16 + lane() / 4 + i / 2 * 8] = sums[i];
  }
  block_sync();  // all warps' sums are there
  const auto token = static_cast<int32_t>(threadIdx.x / 16);
  const auto row = static_cast<int32_t>(threadIdx.x % 16);
  if (token >= a.tokens || (a.swiglu && row >= 8)) return;
  const float* of_row = shared + token * 16 + row;
  float sum = 0;
  float up = 0;
#pragma unroll
  for (int warp = 0; warp < kWarps; ++warp) {
    sum += of_row[warp * 128];
    if (a.swiglu) up += of_row[warp * 128 + 8];
  }
  if (a.swiglu) {
    finish_swiglu(a, token, tile * 16 + row, sum, up);
  } else {
    finish_row(a, token, tile * 16 + row, sum);
  }
}

template <class K, class In>
__device__ __forceinline__ void multiply_tiles(const LinearLaunch& a, const VectorShape& shape, const Work& work,
                                               Feed<K>& feed, In& inputs, SharedAt ring, float* sum_memory) {
  const SharedAt ring_end = ring + K::kRingBytes;
  SharedAt stage = ring;
  int sums_at = 0;  // two places in turn: one is read while the next tile's sums go to the other
#pragma unroll 1
  for (int32_t tile = work.tile; tile < work.tiles; tile += work.tile_step) {
    float sums[4] = {0, 0, 0, 0};
#pragma unroll 1
    for (int32_t i = 0; i < work.chunks; ++i) {
      Vec4 x[K::kOctets];
      inputs.next(x);
      copy_wait<K::kStages - 1>();
      multiply_chunk<K>(stage, x, sums);
      feed.ask(work, stage);  // all of the stage is in registers
      stage += K::kStageBytes;
      if (stage == ring_end) stage = ring;
    }
    inputs.rewind();
    scale_rows(a, tile, sums);
    if (shape.sharers == 1) {
      finish_alone(a, tile, sums);
    } else {
      finish_together(a, tile, sums, sum_memory + sums_at);
      sums_at ^= kWarps * 128;
    }
  }
  copy_wait<0>();
}

// Dynamic shared memory: ring, sums of two tiles, partial sums of norms, zeros, inputs.
constexpr int kSumBytes = 2 * kWarps * 128 * 4;
constexpr int kPartialBytes = 64;

// kHeld: octets that a thread norms; 0: inputs come as they are.
template <class K, bool kStaged, int kHeld>
__global__ void __launch_bounds__(kThreads, 3) vector_kernel(LinearLaunch a, VectorShape shape) {
  unsigned char* memory = shared_memory();
  const Work work(a.weight.layout, shape.sharers);
  const SharedAt ring = shared_at(memory) + static_cast<int32_t>(threadIdx.x) * 16;
  Feed<K> feed(a.weight, work);
#pragma unroll 1
  for (int i = 0; i < K::kStages; ++i) feed.ask(work, ring + i * K::kStageBytes);
  float scale[kHeld > 0 ? kHeld : 1][8];
  if constexpr (kHeld > 0) {
#pragma unroll
    for (int i = 0; i < kHeld; ++i) {
      const uint32_t at = (threadIdx.x + static_cast<uint32_t>(i * kThreads)) * 8;
#pragma unroll
      for (uint32_t j = 0; j < 8; ++j) scale[i][j] = at < a.weight.layout.inputs ? a.norm_scale[at + j] : 0.0F;
    }
  }
  let_next_kernel_start();
  wait_for_previous_kernel();

  auto* sums = reinterpret_cast<float*>(memory + K::kRingBytes);
  if constexpr (kStaged) {
    auto* partial = reinterpret_cast<float*>(memory + K::kRingBytes + kSumBytes);
    unsigned char* zeros = memory + K::kRingBytes + kSumBytes + kPartialBytes;
    if (threadIdx.x < kZeroBytes / 16) reinterpret_cast<Vec4*>(zeros)[threadIdx.x] = {0, 0, 0, 0};
    if constexpr (kHeld > 0) {
      stage_normed<K, kHeld>(a, zeros + kZeroBytes, partial, scale);
    } else {
      stage_x<K>(a, shape.x_pitch, zeros + kZeroBytes);
    }
    block_sync();  // all inputs are there
    Inputs<K, true> inputs(a, work, shape.x_pitch, shared_at(zeros + kZeroBytes), shared_at(zeros));
    multiply_tiles<K>(a, shape, work, feed, inputs, ring, sums);
  } else {
    Inputs<K, false> inputs(a, work);
    multiply_tiles<K>(a, shape, work, feed, inputs, ring, sums);
  }
}

// --- Launch ---

int64_t staged_bytes(const LinearLaunch& a) { return a.tokens * (a.weight.layout.padded * 2 + kTokenPad); }

constexpr int64_t kSharedMax = 224 << 10;  // of a multiprocessor, what blocks take beside it left out
constexpr int64_t kBlocksMax = 3;          // by registers

// Cost of the slowest warp in chunks; kTileCost is what ending a tile costs.
int64_t cost_of(int64_t tiles, int64_t chunks, int64_t warps, int64_t sharers) {
  constexpr int64_t kTileCost = 4;
  const int64_t rounds = (tiles * sharers + warps - 1) / warps;
  return rounds * ((chunks + sharers - 1) / sharers + kTileCost);
}

template <class K>
const char* launch_as(const LinearLaunch& args, void* stream) {
  const WeightLayout& layout = args.weight.layout;
  VectorShape shape;
  constexpr int64_t kBeside = K::kRingBytes + kSumBytes + kPartialBytes + kZeroBytes;
  const bool staged = staged_bytes(args) <= kStagedMax && kBeside + staged_bytes(args) <= block_shared_memory_max();
  shape.x_pitch = static_cast<int32_t>(layout.padded * 2 + kTokenPad);
  const int64_t bytes = kBeside + (staged ? staged_bytes(args) : 0);
  const int64_t multiprocessors = args.multiprocessors > 0 ? args.multiprocessors : 1;
  const int64_t tiles = layout.rows / 16;
  // The same whatever the number of tokens, so that sums are.
  const int64_t warps = multiprocessors * kBlocksMax * kWarps;
  if (cost_of(tiles, layout.chunks(), warps, 1) < cost_of(tiles, layout.chunks(), warps, kWarps)) shape.sharers = 1;
  const int64_t resident = multiprocessors * (kSharedMax / bytes < kBlocksMax ? kSharedMax / bytes : kBlocksMax);
  const LaunchShape grid = {.grid_x = static_cast<unsigned>(tiles < resident ? tiles : resident),
                            .threads = kThreads,
                            .shared_bytes = static_cast<size_t>(bytes)};
  if (!staged) return launch(grid, stream, vector_kernel<K, false, 0>, args, shape);
  if (args.norm_scale == nullptr) return launch(grid, stream, vector_kernel<K, true, 0>, args, shape);
  if (layout.padded <= kNormFew)
    return launch(grid, stream, vector_kernel<K, true, kNormFew / 8 / kThreads>, args, shape);
  return launch(grid, stream, vector_kernel<K, true, kNormMost / 8 / kThreads>, args, shape);
}

}  // namespace

// Every block norms for itself, which for more than one token costs more than it saves.
bool vector_can_norm(const LinearLaunch& args) {
  const WeightLayout& layout = args.weight.layout;
  return args.tokens == 1 && layout.inputs % 8 == 0 && layout.padded <= kNormMost && staged_bytes(args) <= kStagedMax;
}

const char* launch_vector(const LinearLaunch& args, void* stream) {
  if (args.tokens == 0) return nullptr;
  if (args.tokens > kVectorTokens) return "more tokens than this product takes";
  switch (args.weight.layout.format) {
    case WeightFormat::kBF16: return launch_as<Kind<WeightFormat::kBF16, 0>>(args, stream);
    case WeightFormat::kQ8: return launch_as<Kind<WeightFormat::kQ8, 32>>(args, stream);
    case WeightFormat::kQ4:
      return args.weight.layout.group == 32 ? launch_as<Kind<WeightFormat::kQ4, 32>>(args, stream)
                                            : launch_as<Kind<WeightFormat::kQ4, 128>>(args, stream);
    case WeightFormat::kInt8: return launch_as<Kind<WeightFormat::kInt8, 0>>(args, stream);
    default: return launch_as<Kind<WeightFormat::kE4M3, 0>>(args, stream);
  }
}

}  // namespace cove::cuda
