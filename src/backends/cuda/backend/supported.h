#pragma once
// What the CUDA backend has kernels for. Host arithmetic; used by backend.cc.

#include "compute/backend.h"

namespace cove::cuda {

// As Backend::supports.
Status supported(const OpQuery& query);

}  // namespace cove::cuda
