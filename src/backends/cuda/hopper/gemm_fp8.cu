#include "backends/cuda/hopper/gemm_launch.cuh"

namespace cove::cuda::hopper {
template const char* launch_tiles<E4m3>(const GemmLaunch& launch);
template const char* launch_stream<E4m3>(const GemmLaunch& launch);
}  // namespace cove::cuda::hopper
