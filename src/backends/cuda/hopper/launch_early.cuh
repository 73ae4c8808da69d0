#pragma once
// Launches of kernels that may start while the one before them in the stream runs (programmatic dependent launch).
// Included by the translation units of this folder only.

#include <cuda_runtime_api.h>

#include <cstdint>

namespace cove::cuda::hopper {

inline const char* error_text(cudaError_t error) { return error == cudaSuccess ? nullptr : cudaGetErrorString(error); }

struct EarlyLaunch {
  unsigned blocks = 1;
  unsigned threads = 32;
  unsigned cluster = 1;
  unsigned shared_bytes = 0;  // dynamic
};

// The kernel must call wait_for_previous_kernel() in every thread, before it touches what kernels before it wrote or
// read. Null, or the error's text.
template <class... Params, class... Args>
const char* launch_early(void (*kernel)(Params...), const EarlyLaunch& shape, cudaStream_t stream,
                         const Args&... args) {
  if (shape.shared_bytes > 0) {
    const cudaError_t raised =
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shape.shared_bytes));
    if (raised != cudaSuccess) return error_text(raised);
  }
  cudaLaunchAttribute attributes[2] = {};
  attributes[0].id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attributes[0].val.programmaticStreamSerializationAllowed = 1;
  attributes[1].id = cudaLaunchAttributeClusterDimension;
  attributes[1].val.clusterDim.x = shape.cluster;
  attributes[1].val.clusterDim.y = 1;
  attributes[1].val.clusterDim.z = 1;
  cudaLaunchConfig_t config = {};
  config.gridDim = dim3(shape.blocks);
  config.blockDim = dim3(shape.threads);
  config.dynamicSmemBytes = shape.shared_bytes;
  config.stream = stream;
  config.attrs = attributes;
  config.numAttrs = shape.cluster > 1 ? 2 : 1;
  return error_text(cudaLaunchKernelEx(&config, kernel, args...));
}

}  // namespace cove::cuda::hopper
