// out = x W^T for many tokens on matrix instructions that every GPU from Ampere on has; on Hopper it is what runs where
// the kernels of hopper/ do not apply.
//
// 1 out[t][n] = sum_k x[t][k] w[n][k]                  2 shapes: linear.h; bf16 weights
// 3 rows of W in 16-byte pieces; x likewise where inputs % 8 == 0, else value by value
// 4 a block has 64 tokens x 128 physical rows, four warps of 32 x 64 each; inputs in steps of 32 through a ring of
// three 5 FLOPs bind: 2 tokens rows inputs 6 sums in f32; a row of the result has the same bits in any batch that takes
// this path 7 own
#include "backends/cuda/kernels/epilogue.h"
#include "backends/cuda/kernels/language.h"
#include "backends/cuda/kernels/linear.h"

namespace cove::cuda {
namespace {

using namespace dev;

constexpr int kTokens = 64;
constexpr int kRows = 128;
constexpr int kStep = 32;
constexpr int kStages = 3;
constexpr int kThreads = 128;
constexpr int kPitch = kStep + 8;  // values from row to row in shared memory: eight rows fall on different banks

struct Stage {
  uint16_t x[kTokens][kPitch];
  uint16_t w[kRows][kPitch];
};

__device__ __forceinline__ void load_stage(const LinearLaunch& a, int64_t first_token, int64_t first_row, int64_t input,
                                           Stage& stage) {
  const WeightLayout& layout = a.weight.layout;
  for (int i = static_cast<int>(threadIdx.x); i < kRows * kStep / 8; i += kThreads) {
    const int row = i / (kStep / 8);
    const int column = i % (kStep / 8) * 8;
    const bool there = first_row + row < layout.rows && input < layout.padded;
    const auto* from = static_cast<const unsigned char*>(a.weight.weight) +
                       (there ? (first_row + row) * layout.pitch + (input + column) * 2 : 0);
    copy_async(&stage.w[row][column], from, there);
  }
  for (int i = static_cast<int>(threadIdx.x); i < kTokens * kStep / 8; i += kThreads) {
    const int token = i / (kStep / 8);
    const int column = i % (kStep / 8) * 8;
    if (layout.inputs % 8 == 0) {
      const bool there = first_token + token < a.tokens && input + column < layout.inputs;
      const auto* from =
          static_cast<const uint16_t*>(a.x) + (there ? (first_token + token) * layout.inputs + input + column : 0);
      copy_async(&stage.x[token][column], from, there);
    } else {
      *reinterpret_cast<Vec4*>(&stage.x[token][column]) = load_inputs(a, first_token + token, input + column);
    }
  }
}

// Warp (i, j) of 2 x 2 has tokens 32 i .. and rows 64 j ..: two 16-row tiles by eight 8-column tiles.
__device__ __forceinline__ void multiply_stage(const Stage& stage, float (&sums)[2][8][4]) {
  const int warp = static_cast<int>(threadIdx.x / 32);
  const int token = warp / 2 * 32;
  const int row = warp % 2 * 64;
#pragma unroll
  for (int k = 0; k < kStep; k += 16) {
    uint32_t x[2][4];
    // Matrices in the order of an operand's four registers: rows 0..7, rows 8..15, then those of columns 8..15.
#pragma unroll
    for (int m = 0; m < 2; ++m) load_matrices(x[m], &stage.x[token + 16 * m + lane() % 16][k + lane() / 16 * 8]);
#pragma unroll
    for (int n = 0; n < 8; n += 2) {
      uint32_t w[4];  // columns k .. and k + 8 .. of rows 8 n .., then of the next eight rows
      load_matrices(w, &stage.w[row + 8 * n + lane() / 16 * 8 + lane() % 8][k + lane() / 8 % 2 * 8]);
      const uint32_t first[2] = {w[0], w[1]};
      const uint32_t second[2] = {w[2], w[3]};
#pragma unroll
      for (int m = 0; m < 2; ++m) {
        mma_bf16(sums[m][n], x[m], first);
        mma_bf16(sums[m][n + 1], x[m], second);
      }
    }
  }
}

// Sums of a tile: tokens g and g + 8, rows 2 t and 2 t + 1. Interleaved weights: an even tile of eight rows is gate,
// the next is up.
__device__ __forceinline__ void store(const LinearLaunch& a, int64_t first_token, int64_t first_row,
                                      const float (&sums)[2][8][4]) {
  const int warp = static_cast<int>(threadIdx.x / 32);
  const int64_t token_begin = first_token + warp / 2 * 32 + lane() / 4;
  const int64_t row_begin = first_row + warp % 2 * 64 + lane() % 4 * 2;
#pragma unroll
  for (int m = 0; m < 2; ++m) {
#pragma unroll
    for (int n = 0; n < 8; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int64_t token = token_begin + 16 * m + i / 2 * 8;
        const int64_t row = row_begin + 8 * n + i % 2;
        if (row >= a.weight.layout.rows) continue;
        if (!a.swiglu) {
          finish_plain(a, token, row, sums[m][n][i]);
        } else if (n % 2 == 0) {
          finish_swiglu(a, token, row, sums[m][n][i], sums[m][n + 1][i]);
        }
      }
    }
  }
}

__global__ void __launch_bounds__(kThreads) gemm_kernel(LinearLaunch a) {
  let_next_kernel_start();
  wait_for_previous_kernel();
  auto* stages = reinterpret_cast<Stage*>(shared_memory());
  const int64_t first_row = static_cast<int64_t>(blockIdx.x) * kRows;
  const int64_t first_token = static_cast<int64_t>(blockIdx.y) * kTokens;
  const auto steps = static_cast<int>(a.weight.layout.padded / kStep);
  float sums[2][8][4] = {};
  for (int i = 0; i < kStages - 1; ++i) {
    if (i < steps) load_stage(a, first_token, first_row, i * kStep, stages[i]);
    copy_commit();
  }
  for (int i = 0; i < steps; ++i) {
    copy_wait<kStages - 2>();
    block_sync();  // stage i is there for all; all are done with stage i - 1, which is loaded next
    const int next = i + kStages - 1;
    if (next < steps) load_stage(a, first_token, first_row, static_cast<int64_t>(next) * kStep, stages[next % kStages]);
    copy_commit();
    multiply_stage(stages[i % kStages], sums);
  }
  copy_wait<0>();
  store(a, first_token, first_row, sums);
}

}  // namespace

const char* launch_gemm(const LinearLaunch& args, void* stream) {
  if (args.tokens == 0) return nullptr;
  if (args.weight.layout.format != WeightFormat::kBF16) return "this product needs bf16 weights";
  const LaunchShape shape = {.grid_x = static_cast<unsigned>((args.weight.layout.rows + kRows - 1) / kRows),
                             .grid_y = static_cast<unsigned>((args.tokens + kTokens - 1) / kTokens),
                             .threads = kThreads,
                             .shared_bytes = kStages * sizeof(Stage)};
  return launch(shape, stream, gemm_kernel, args);
}

}  // namespace cove::cuda
