#include "backends/cuda/kernels/pack.h"

#include "backends/cuda/kernels/decode_value.h"
#include "backends/cuda/kernels/language.h"
#include "backends/cuda/kernels/round_values.h"
#include "backends/cuda/kernels/weight_values.h"

namespace cove::cuda {
namespace {

using namespace dev;

constexpr unsigned kThreads = 128;

__device__ __forceinline__ int64_t target_row(const PackLaunch& a) {
  return physical_row(a.to.layout.interleaved, a.part, a.part_begin, a.first_row + static_cast<int64_t>(blockIdx.x));
}
__device__ __forceinline__ const unsigned char* source_row(const PackLaunch& a) {
  return static_cast<const unsigned char*>(a.from) + static_cast<int64_t>(blockIdx.x) * a.row_bytes;
}

// One block per row in all of these; loading is bound by the link to the host, not by them.
__global__ void pack_bf16_kernel(PackLaunch a) {
  wait_for_previous_kernel();
  const unsigned char* from = source_row(a);
  auto* to = reinterpret_cast<uint16_t*>(static_cast<unsigned char*>(a.to.weight) + target_row(a) * a.to.layout.pitch);
  for (int64_t i = threadIdx.x; i < a.to.layout.inputs; i += blockDim.x)
    to[i] = to_bf16(decode_value(a.dtype, from, i));
}

// Where value i of an octet of kQ8 lies.
__device__ __forceinline__ int q8_place(int i) { return i / 4 * 4 + (i % 4 == 1 ? 2 : i % 4 == 2 ? 1 : i % 4); }

__global__ void pack_q8_kernel(PackLaunch a) {
  wait_for_previous_kernel();
  const WeightLayout& layout = a.to.layout;
  const unsigned char* from = source_row(a);
  const int64_t row = target_row(a);
  auto* to = static_cast<unsigned char*>(a.to.weight);
  for (int64_t i = threadIdx.x; i < layout.inputs; i += blockDim.x) {
    const int64_t block = i / 32;
    to[layout.panel_word(row, i / 8) + block % 2 * 8 + q8_place(static_cast<int>(i % 8))] =
        from[block * 34 + 2 + i % 32];
    if (i % 32 == 0) {
      a.to.group_scale[layout.panel_scale(row, i)] = *reinterpret_cast<const uint16_t*>(from + block * 34);
    }
  }
}

// Value 2 j of an octet is nibble j, value 2 j + 1 is nibble j + 4.
__device__ __forceinline__ uint32_t pack_nibbles(const int (&values)[8]) {
  uint32_t word = 0;
  for (int j = 0; j < 4; ++j) {
    word |= static_cast<uint32_t>(values[2 * j]) << (4 * j) | static_cast<uint32_t>(values[2 * j + 1]) << (4 * j + 16);
  }
  return word;
}

__device__ __forceinline__ uint32_t* q4_octet(const DeviceWeight& to, int64_t row, int64_t octet) {
  auto* word = static_cast<unsigned char*>(to.weight) + to.layout.panel_word(row, octet);
  return reinterpret_cast<uint32_t*>(word) + octet / 4 % 4;
}

// A thread per octet.
__global__ void pack_q4_kernel(PackLaunch a) {
  wait_for_previous_kernel();
  const unsigned char* from = source_row(a);
  const int64_t row = target_row(a);
  for (int64_t octet = threadIdx.x; octet < a.to.layout.inputs / 8; octet += blockDim.x) {
    const int64_t block = octet / 4;
    const int t = static_cast<int>(octet % 4);
    int values[8];
    for (int i = 0; i < 8; ++i) {
      const int in_block = 8 * t + i;
      const int pair = from[block * 18 + 2 + in_block % 16];
      values[i] = in_block < 16 ? pair & 15 : pair >> 4;
    }
    *q4_octet(a.to, row, octet) = pack_nibbles(values);
    if (t == 0) {
      a.to.group_scale[a.to.layout.panel_scale(row, block * 32)] =
          *reinterpret_cast<const uint16_t*>(from + block * 18);
    }
  }
}

__global__ void __launch_bounds__(kThreads) quantize_row_kernel(PackLaunch a) {
  wait_for_previous_kernel();
  auto* partial = reinterpret_cast<float*>(shared_memory());
  const unsigned char* from = source_row(a);
  const int64_t row = target_row(a);
  auto* to = static_cast<unsigned char*>(a.to.weight) + row * a.to.layout.pitch;
  float most = 0;
  for (int64_t i = threadIdx.x; i < a.to.layout.inputs; i += blockDim.x)
    most = larger(most, magnitude(decode_value(a.dtype, from, i)));
  most = block_max(most, partial);
  const bool fp8 = a.to.layout.format == WeightFormat::kE4M3;
  const float scale = most / (fp8 ? 448.0F : 127.0F);
  const float inverse = scale > 0 ? 1.0F / scale : 0.0F;
  if (threadIdx.x == 0) a.to.row_scale[row] = scale;
  for (int64_t i = threadIdx.x; i < a.to.layout.inputs; i += blockDim.x) {
    const float value = decode_value(a.dtype, from, i);
    to[i] = fp8 ? to_e4m3(value * inverse) : static_cast<unsigned char>(to_quant(value, inverse, 127.0F));
  }
}

// One warp per group of 128 inputs: lane t + 4 b has octet t of block b in the first 16 lanes' turn; each lane reads
// four values for the largest and the first 16 lanes write an octet each.
__global__ void __launch_bounds__(kThreads) quantize_groups_kernel(PackLaunch a) {
  wait_for_previous_kernel();
  const unsigned char* from = source_row(a);
  const int64_t row = target_row(a);
  const int64_t groups = a.to.layout.padded / 128;
  for (int64_t group = threadIdx.x / 32; group < groups; group += blockDim.x / 32) {
    const int64_t begin = group * 128;
    float most = 0;
    for (int64_t i = begin + lane(); i < begin + 128 && i < a.to.layout.inputs; i += 32) {
      most = larger(most, magnitude(decode_value(a.dtype, from, i)));
    }
    const uint16_t scale = to_f16(warp_max(most) / 7.0F);
    const float size = from_f16(scale);
    const float inverse = size > 0 ? 1.0F / size : 0.0F;
    if (lane() == 0) a.to.group_scale[a.to.layout.panel_scale(row, begin)] = scale;
    if (lane() >= 16) continue;
    int values[8];
    for (int i = 0; i < 8; ++i) {
      const int64_t input = begin + 8 * lane() + i;
      values[i] = input < a.to.layout.inputs ? 8 + to_quant(decode_value(a.dtype, from, input), inverse, 7.0F) : 8;
    }
    *q4_octet(a.to, row, group * 16 + lane()) = pack_nibbles(values);
  }
}

// A thread per octet of a row.
template <WeightFormat kFormat>
__global__ void unpack_kernel(DeviceWeight from, uint16_t* to) {
  wait_for_previous_kernel();
  const WeightLayout& layout = from.layout;
  const int64_t row = blockIdx.x;
  const auto* weight = static_cast<const unsigned char*>(from.weight);
  for (int64_t octet = threadIdx.x; octet < layout.padded / 8; octet += blockDim.x) {
    const int64_t begin = octet * 8;
    const bool panels = layout.group > 0;
    const auto* word = weight + (panels ? layout.panel_word(row, octet) : row * layout.pitch + octet / 2 * 16);
    const auto in_word = static_cast<int>(panels ? begin / 32 % (layout.chunk_inputs() / 32) : octet % 2);
    uint32_t pairs[4];
    octet_values<kFormat>(*reinterpret_cast<const Vec4*>(word), in_word, pairs);
    const float scale = panels ? from_f16(from.group_scale[layout.panel_scale(row, begin)]) : from.row_scale[row];
    Vec4 out;
    out.x = pack_bf16(low_bf16(pairs[0]) * scale, high_bf16(pairs[0]) * scale);
    out.y = pack_bf16(low_bf16(pairs[1]) * scale, high_bf16(pairs[1]) * scale);
    out.z = pack_bf16(low_bf16(pairs[2]) * scale, high_bf16(pairs[2]) * scale);
    out.w = pack_bf16(low_bf16(pairs[3]) * scale, high_bf16(pairs[3]) * scale);
    *reinterpret_cast<Vec4*>(to + row * layout.padded + begin) = out;
  }
}

}  // namespace

const char* launch_pack(const PackLaunch& args, void* stream) {
  if (args.count == 0) return nullptr;
  const LaunchShape shape = {
      .grid_x = static_cast<unsigned>(args.count), .threads = kThreads, .shared_bytes = kThreads / 32 * sizeof(float)};
  switch (args.to.layout.format) {
    case WeightFormat::kBF16: return launch(shape, stream, pack_bf16_kernel, args);
    case WeightFormat::kQ8: return launch(shape, stream, pack_q8_kernel, args);
    case WeightFormat::kQ4:
      if (args.dtype == DType::kQ4_0) return launch(shape, stream, pack_q4_kernel, args);
      return launch(shape, stream, quantize_groups_kernel, args);
    default: return launch(shape, stream, quantize_row_kernel, args);
  }
}

const char* launch_unpack(const DeviceWeight& from, void* to, void* stream) {
  const LaunchShape shape = {.grid_x = static_cast<unsigned>(from.layout.rows), .threads = kThreads};
  auto* out = static_cast<uint16_t*>(to);
  switch (from.layout.format) {
    case WeightFormat::kQ8: return launch(shape, stream, unpack_kernel<WeightFormat::kQ8>, from, out);
    case WeightFormat::kQ4: return launch(shape, stream, unpack_kernel<WeightFormat::kQ4>, from, out);
    case WeightFormat::kInt8: return launch(shape, stream, unpack_kernel<WeightFormat::kInt8>, from, out);
    case WeightFormat::kE4M3: return launch(shape, stream, unpack_kernel<WeightFormat::kE4M3>, from, out);
    default: return "bf16 weights need no unpacking";
  }
}

}  // namespace cove::cuda
