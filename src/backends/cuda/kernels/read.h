#pragma once
// Reads memory and does nothing else: how fast that is at most.

#include <cstdint>

namespace cove::cuda {

// sums[block] = the exclusive or of what block read; bytes: a multiple of 16. kReadBlocks sums.
inline constexpr int64_t kReadBlocks = 2048;
const char* launch_read(const void* memory, int64_t bytes, uint32_t* sums, void* stream);

// memory[i] = pseudo-random bf16 values of deviation about `size`; count is even.
const char* launch_fill(void* memory, int64_t count, float size, void* stream);

}  // namespace cove::cuda
