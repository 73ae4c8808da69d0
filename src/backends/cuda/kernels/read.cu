#include "backends/cuda/kernels/read.h"

#include "backends/cuda/kernels/language.h"

namespace cove::cuda {
namespace {

using namespace dev;

constexpr unsigned kThreads = 512;
constexpr int kAhead = 8;  // 16-byte loads of a thread under way at once

__global__ void __launch_bounds__(kThreads) read_kernel(const Vec4* memory, int64_t words, uint32_t* sums) {
  let_next_kernel_start();
  wait_for_previous_kernel();
  const int64_t stride = static_cast<int64_t>(gridDim.x) * kThreads;
  uint32_t sum = 0;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x; i < words; i += kAhead * stride) {
    Vec4 values[kAhead];
#pragma unroll
    for (int j = 0; j < kAhead; ++j)
      values[j] = i + j * stride < words ? load_stream(memory + i + j * stride) : Vec4{0, 0, 0, 0};
#pragma unroll
    for (int j = 0; j < kAhead; ++j) sum ^= values[j].x ^ values[j].y ^ values[j].z ^ values[j].w;
  }
  for (int mask = 16; mask > 0; mask /= 2) sum ^= shuffle_xor(sum, mask);
  auto* partial = reinterpret_cast<uint32_t*>(shared_memory());
  if (lane() == 0) partial[threadIdx.x / 32] = sum;
  block_sync();
  if (threadIdx.x != 0) return;
  for (unsigned i = 1; i < kThreads / 32; ++i) sum ^= partial[i];
  sums[blockIdx.x] = sum;
}

// The sum of four uniform bytes, which is near enough to normal.
__global__ void fill_kernel(uint32_t* memory, int64_t pairs, float size) {
  let_next_kernel_start();
  wait_for_previous_kernel();
  const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= pairs) return;
  float values[2];
  for (int j = 0; j < 2; ++j) {
    uint32_t x = static_cast<uint32_t>(2 * i + j) * 0x9E3779B9U + 0x7F4A7C15U;
    x = (x ^ (x >> 16)) * 0x85EBCA6BU;
    x = (x ^ (x >> 13)) * 0xC2B2AE35U;
    x ^= x >> 16;
    const uint32_t sum = (x & 255) + (x >> 8 & 255) + (x >> 16 & 255) + (x >> 24);
    values[j] = (static_cast<float>(sum) - 510.0F) * (size / 148.0F);
  }
  memory[i] = pack_bf16(values[0], values[1]);
}

}  // namespace

const char* launch_read(const void* memory, int64_t bytes, uint32_t* sums, void* stream) {
  const LaunchShape shape = {.grid_x = static_cast<unsigned>(kReadBlocks),
                             .threads = kThreads,
                             .shared_bytes = kThreads / 32 * sizeof(uint32_t)};
  return launch(shape, stream, read_kernel, static_cast<const Vec4*>(memory), bytes / 16, sums);
}

const char* launch_fill(void* memory, int64_t count, float size, void* stream) {
  const LaunchShape shape = {.grid_x = static_cast<unsigned>((count / 2 + 255) / 256), .threads = 256};
  return launch(shape, stream, fill_kernel, static_cast<uint32_t*>(memory), count / 2, size);
}

}  // namespace cove::cuda
