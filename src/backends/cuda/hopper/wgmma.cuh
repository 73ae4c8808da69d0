#pragma once
// wgmma: D[64, N] (+)= A[64, K] B[N, K]^T by one warpgroup, asynchronously; operands in shared memory are named by the
// descriptors of layout.h. Rules that the caller keeps: wgmma_begin() before the first use of registers that ordinary
// instructions wrote, wgmma_commit() after a batch, wgmma_wait<n>() before touching its accumulators or reusing its
// shared memory. K of one call is 32 bytes a row: 16 bf16, 32 e4m3 or int8.
//
// Source: PTX ISA 8.x, "wgmma.mma_async".

#include <cstdint>

namespace cove::cuda::hopper {

__device__ __forceinline__ void wgmma_begin() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
__device__ __forceinline__ void wgmma_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
template <int kPending>
__device__ __forceinline__ void wgmma_wait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kPending) : "memory");
}
// Keeps the compiler from moving reads or writes of an accumulator over this point.
__device__ __forceinline__ void wgmma_pin(float& reg) { asm volatile("" : "+f"(reg)::"memory"); }
__device__ __forceinline__ void wgmma_pin(int32_t& reg) { asm volatile("" : "+r"(reg)::"memory"); }

// Operands 0..n-1 are the accumulators of a thread.

#define COVE_REGISTERS_4 "%0, %1, %2, %3"
#define COVE_REGISTERS_8 \
  COVE_REGISTERS_4       \
  ", "                   \
  "%4, %5, %6, %7"
#define COVE_REGISTERS_16 \
  COVE_REGISTERS_8        \
  ", "                    \
  "%8, %9, %10, %11, %12, %13, %14, %15"
#define COVE_REGISTERS_32 \
  COVE_REGISTERS_16       \
  ", "                    \
  "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define COVE_REGISTERS_64                                                                                \
  COVE_REGISTERS_32                                                                                      \
  ", "                                                                                                   \
  "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, %48, %49, %50, %51, " \
  "%52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
#define COVE_REGISTERS_128                                                                               \
  COVE_REGISTERS_64                                                                                      \
  ", "                                                                                                   \
  "%64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, %80, %81, %82, %83, " \
  "%84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95, %96, %97, %98, %99, %100, %101, %102, "   \
  "%103, %104, %105, %106, %107, %108, %109, %110, %111, %112, %113, %114, %115, %116, %117, %118, "     \
  "%119, %120, %121, %122, %123, %124, %125, %126, %127"

#define COVE_OPERANDS_4(c, i) c(d[i]), c(d[i + 1]), c(d[i + 2]), c(d[i + 3])
#define COVE_OPERANDS_8(c, i) COVE_OPERANDS_4(c, i), COVE_OPERANDS_4(c, i + 4)
#define COVE_OPERANDS_16(c, i) COVE_OPERANDS_8(c, i), COVE_OPERANDS_8(c, i + 8)
#define COVE_OPERANDS_32(c, i) COVE_OPERANDS_16(c, i), COVE_OPERANDS_16(c, i + 16)
#define COVE_OPERANDS_64(c, i) COVE_OPERANDS_32(c, i), COVE_OPERANDS_32(c, i + 32)
#define COVE_OPERANDS_128(c, i) COVE_OPERANDS_64(c, i), COVE_OPERANDS_64(c, i + 64)

// One function: NAME(d, a, b, accumulate) with REGS accumulators. A, B, P are the numbers of the operands after them;
// TAIL ends the instruction (sign and transposition of the operands). accumulate = 0: D is overwritten.
#define COVE_WGMMA(NAME, TYPE, CONSTRAINT, REGS, SHAPE, A, B, P, TAIL)                               \
  __device__ __forceinline__ void NAME(TYPE(&d)[REGS], uint64_t a, uint64_t b, int32_t accumulate) { \
    asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %" #P ", 0;\nwgmma.mma_async.sync.aligned." SHAPE \
                 " {" COVE_REGISTERS_##REGS "}, %" #A ", %" #B ", p" TAIL ";\n}\n"                   \
                 : COVE_OPERANDS_##REGS(CONSTRAINT, 0)                                               \
                 : "l"(a), "l"(b), "r"(accumulate));                                                 \
  }
// The same with A in registers (16 bf16 a row: four pairs a thread); B_N: 1 for B read N-major.
#define COVE_WGMMA_A_REGISTERS(NAME, REGS, SHAPE, A0, A1, A2, A3, B, P, B_N)                                      \
  __device__ __forceinline__ void NAME(float(&d)[REGS], const uint32_t(&a)[4], uint64_t b, int32_t accumulate) {  \
    asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %" #P ", 0;\nwgmma.mma_async.sync.aligned." SHAPE              \
                 " {" COVE_REGISTERS_##REGS "}, {%" #A0 ", %" #A1 ", %" #A2 ", %" #A3 "}, %" #B ", p, 1, 1, " B_N \
                                            ";\n}\n"                                                              \
                 : COVE_OPERANDS_##REGS(COVE_FLOAT, 0)                                                            \
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(accumulate));                          \
  }
#define COVE_FLOAT "+f"
#define COVE_INT "+r"

COVE_WGMMA(wgmma_bf16, float, COVE_FLOAT, 8, "m64n16k16.f32.bf16.bf16", 8, 9, 10, ", 1, 1, 0, 0")
COVE_WGMMA(wgmma_bf16, float, COVE_FLOAT, 16, "m64n32k16.f32.bf16.bf16", 16, 17, 18, ", 1, 1, 0, 0")
COVE_WGMMA(wgmma_bf16, float, COVE_FLOAT, 32, "m64n64k16.f32.bf16.bf16", 32, 33, 34, ", 1, 1, 0, 0")
COVE_WGMMA(wgmma_bf16, float, COVE_FLOAT, 64, "m64n128k16.f32.bf16.bf16", 64, 65, 66, ", 1, 1, 0, 0")
COVE_WGMMA(wgmma_bf16, float, COVE_FLOAT, 128, "m64n256k16.f32.bf16.bf16", 128, 129, 130, ", 1, 1, 0, 0")
COVE_WGMMA(wgmma_fp8, float, COVE_FLOAT, 8, "m64n16k32.f32.e4m3.e4m3", 8, 9, 10, ", 1, 1")
COVE_WGMMA(wgmma_fp8, float, COVE_FLOAT, 16, "m64n32k32.f32.e4m3.e4m3", 16, 17, 18, ", 1, 1")
COVE_WGMMA(wgmma_fp8, float, COVE_FLOAT, 32, "m64n64k32.f32.e4m3.e4m3", 32, 33, 34, ", 1, 1")
COVE_WGMMA(wgmma_fp8, float, COVE_FLOAT, 64, "m64n128k32.f32.e4m3.e4m3", 64, 65, 66, ", 1, 1")
COVE_WGMMA(wgmma_fp8, float, COVE_FLOAT, 128, "m64n256k32.f32.e4m3.e4m3", 128, 129, 130, ", 1, 1")
COVE_WGMMA(wgmma_int8, int32_t, COVE_INT, 8, "m64n16k32.s32.s8.s8", 8, 9, 10, "")
COVE_WGMMA(wgmma_int8, int32_t, COVE_INT, 16, "m64n32k32.s32.s8.s8", 16, 17, 18, "")
COVE_WGMMA(wgmma_int8, int32_t, COVE_INT, 32, "m64n64k32.s32.s8.s8", 32, 33, 34, "")
COVE_WGMMA(wgmma_int8, int32_t, COVE_INT, 64, "m64n128k32.s32.s8.s8", 64, 65, 66, "")
COVE_WGMMA(wgmma_int8, int32_t, COVE_INT, 128, "m64n256k32.s32.s8.s8", 128, 129, 130, "")
COVE_WGMMA_A_REGISTERS(wgmma_bf16_a_registers, 32, "m64n64k16.f32.bf16.bf16", 32, 33, 34, 35, 36, 37, "1")
COVE_WGMMA_A_REGISTERS(wgmma_bf16_a_registers, 64, "m64n128k16.f32.bf16.bf16", 64, 65, 66, 67, 68, 69, "1")
COVE_WGMMA_A_REGISTERS(wgmma_bf16_a_k_major, 8, "m64n16k16.f32.bf16.bf16", 8, 9, 10, 11, 12, 13, "0")
COVE_WGMMA_A_REGISTERS(wgmma_bf16_a_k_major, 16, "m64n32k16.f32.bf16.bf16", 16, 17, 18, 19, 20, 21, "0")
COVE_WGMMA_A_REGISTERS(wgmma_bf16_a_k_major, 32, "m64n64k16.f32.bf16.bf16", 32, 33, 34, 35, 36, 37, "0")
COVE_WGMMA_A_REGISTERS(wgmma_bf16_a_k_major, 64, "m64n128k16.f32.bf16.bf16", 64, 65, 66, 67, 68, 69, "0")

#undef COVE_FLOAT
#undef COVE_INT
#undef COVE_WGMMA
#undef COVE_WGMMA_A_REGISTERS
#undef COVE_REGISTERS_4
#undef COVE_OPERANDS_4
#undef COVE_REGISTERS_8
#undef COVE_OPERANDS_8
#undef COVE_REGISTERS_16
#undef COVE_OPERANDS_16
#undef COVE_REGISTERS_32
#undef COVE_OPERANDS_32
#undef COVE_REGISTERS_64
#undef COVE_OPERANDS_64
#undef COVE_REGISTERS_128
#undef COVE_OPERANDS_128

}  // namespace cove::cuda::hopper
