#include "backends/cuda/hopper/gemm_launch.cuh"

namespace cove::cuda::hopper {
template const char* launch_tiles<Bf16>(const GemmLaunch& launch);
template const char* launch_stream<Bf16>(const GemmLaunch& launch);
}  // namespace cove::cuda::hopper
