#pragma once
// How the tensor cores of sm_90 see memory: the 128-byte swizzle, the descriptor of an operand in shared memory, and
// which element of an accumulator a thread holds. Plain constexpr functions: the kernels use them on the device, and
// layout_test.cc checks on any machine that what a bulk tensor copy writes is what a descriptor reads.
//
// Sources: PTX ISA 8.x, "Asynchronous Warpgroup Level Matrix Shared Memory Layout", "Register Fragments" and "Tensor
// swizzling modes".

#include <cstdint>

#ifdef __CUDACC__
#define COVE_HOST_DEVICE __host__ __device__
#else
#define COVE_HOST_DEVICE
#endif

namespace cove::cuda::hopper {

// Every operand lies in shared memory as rows of 128 bytes (64 bf16, 128 fp8 or int8), at an address that is a multiple
// of 1024: eight rows, after which the swizzle repeats.
constexpr uint32_t kRowBytes = 128;
constexpr uint32_t kAtomBytes = 8 * kRowBytes;
// Dynamic shared memory begins at a multiple of 128: so much more is asked for than tiles take.
constexpr uint32_t kAlignBytes = kAtomBytes - 128;

// Where byte `byte` of row `row` of such a tile lies: the 16-byte column is changed by the row's number modulo 8, so
// that eight rows' equal columns fall on different banks.
COVE_HOST_DEVICE constexpr uint32_t swizzled(uint32_t row, uint32_t byte) {
  return row * kRowBytes + (byte ^ ((row & 7U) << 4U));
}

// The 64 bits that tell wgmma where an operand with 128-byte swizzle lies. All in units of 16 bytes: bits 0-13 the
// address, 16-29 the leading offset, 32-45 the stride offset; bits 62-63 = 1: 128-byte swizzle.
COVE_HOST_DEVICE constexpr uint64_t operand_descriptor(uint32_t address, uint32_t leading_bytes,
                                                       uint32_t stride_bytes) {
  return static_cast<uint64_t>((address & 0x3FFFFU) >> 4U) |
         static_cast<uint64_t>((leading_bytes & 0x3FFFFU) >> 4U) << 16U |
         static_cast<uint64_t>((stride_bytes & 0x3FFFFU) >> 4U) << 32U | uint64_t{1} << 62U;
}

// Rows are the operand's M or N, bytes run along K: groups of 8 rows are 1024 bytes apart, the leading offset is
// unused.
COVE_HOST_DEVICE constexpr uint64_t k_major_descriptor(uint32_t address) {
  return operand_descriptor(address, 16, kAtomBytes);
}
// Added to a K-major descriptor: the next 32 bytes along K (16 bf16, 32 fp8 or int8), one wgmma step.
constexpr uint64_t kNextStepK = 32 >> 4;

// Rows are K (cached positions), bytes run along N (64 bf16 of a head): the V operand. The next 8 rows are 1024 bytes
// away, the next 64 elements of N `column_bytes`.
COVE_HOST_DEVICE constexpr uint64_t n_major_descriptor(uint32_t address, uint32_t column_bytes) {
  return operand_descriptor(address, column_bytes, kAtomBytes);
}
// Added to an N-major descriptor: the next 16 rows, one wgmma step of bf16.
constexpr uint64_t kNextStepN = (16 * kRowBytes) >> 4;

// Accumulator register `reg` of thread `thread` (0..127) of a warpgroup, of an m64nN product.
struct Place {
  int row = 0;     // 0..63
  int column = 0;  // 0..N-1
};
COVE_HOST_DEVICE constexpr Place accumulator_place(int thread, int reg) {
  const int warp = thread / 32;
  const int lane = thread % 32;
  return {warp * 16 + lane / 4 + 8 * ((reg / 2) % 2), reg / 4 * 8 + lane % 4 * 2 + reg % 2};
}

// Where lane l of a warp's stmatrix.x4 puts its 16 bytes, when the four registers are those of accumulators 8 b .. 8 b
// + 7 as pairs: row of the warpgroup's 64, and first (0) or second (1) block of 8 columns.
struct MatrixRow {
  uint32_t row = 0;
  uint32_t block = 0;
};
COVE_HOST_DEVICE constexpr MatrixRow stored_row(uint32_t thread) {
  return {thread / 32 * 16 + thread % 16, thread % 32 / 16};
}

}  // namespace cove::cuda::hopper
