#include "backends/cuda/hopper/gemm_launch.cuh"

namespace cove::cuda::hopper {
template const char* launch_tiles<Int8>(const GemmLaunch& launch);
template const char* launch_stream<Int8>(const GemmLaunch& launch);
}  // namespace cove::cuda::hopper
