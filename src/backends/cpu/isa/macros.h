#pragma once
// For the per-ISA files only: everything in them is inlined into the kernels that their table names.

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16")
