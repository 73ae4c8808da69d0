#pragma once
// A Device whose memory is the host's and whose kernels run in the emulator. Every allocation stands alone and is
// filled with NaNs, so that a sanitizer sees accesses beyond it and tests see reads before writes. For tests.

#include <memory>

#include "backends/cuda/runtime/device.h"

namespace cove::cuda::emulated {

std::unique_ptr<Device> make_device();

}  // namespace cove::cuda::emulated
