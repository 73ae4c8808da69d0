#pragma once
// Between gemm.cc, which chooses, and the translation units that hold the kernels of one format each. No CUDA types.

#include "backends/cuda/hopper/hopper.h"
#include "backends/cuda/hopper/plan/gemm_plan.h"

namespace cove::cuda::hopper {

struct Bf16;
struct E4m3;
struct Int8;

struct GemmLaunch {
  GemmArgs args{};
  GemmPlan plan{};
  void* stream = nullptr;
};

// Null, or the error's text. For plans of the kTiles kernels, and of kStream.
template <class Format>
const char* launch_tiles(const GemmLaunch& launch);
template <class Format>
const char* launch_stream(const GemmLaunch& launch);

extern template const char* launch_tiles<Bf16>(const GemmLaunch& launch);
extern template const char* launch_tiles<E4m3>(const GemmLaunch& launch);
extern template const char* launch_tiles<Int8>(const GemmLaunch& launch);
extern template const char* launch_stream<Bf16>(const GemmLaunch& launch);
extern template const char* launch_stream<E4m3>(const GemmLaunch& launch);
extern template const char* launch_stream<Int8>(const GemmLaunch& launch);

}  // namespace cove::cuda::hopper
