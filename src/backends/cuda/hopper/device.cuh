#pragma once
// The words the kernels of this folder are written in: sm_90's own for nvcc, those of the emulator for tests.

#if defined(COVE_HOPPER_EMULATED)
#include "backends/cuda/hopper/emulator/words.h"
#define COVE_UNROLL
#else
#include "backends/cuda/hopper/ptx.cuh"
#include "backends/cuda/hopper/wgmma.cuh"
#define COVE_UNROLL _Pragma("unroll")
#endif
