#pragma once
// Runs CUDA kernels on the host, for tests: one block after the other, its threads as coroutines that change places at
// barriers and at warp-wide operations, in an order drawn anew each time. Shared memory is filled with NaNs before each
// block. cp.async delivers as late as the program allows. What it cannot show: races between blocks, and speed.

#include <cstddef>
#include <cstdint>
#include <functional>

namespace cove::cuda::emulated {

struct Index3 {
  unsigned x = 1;
  unsigned y = 1;
  unsigned z = 1;
};

// Where the running thread is.
struct ThreadPlace {
  Index3 thread{};
  Index3 block{};
  Index3 block_dim{};
  Index3 grid_dim{};
};
const ThreadPlace& place();

// Shared memory of a block, what every GPU from compute capability 8.0 on has (8.6 and 8.9 have no more).
inline constexpr int64_t kSharedMax = 99 << 10;

struct Launch {
  Index3 grid{};
  Index3 block{};
  size_t shared_bytes = 0;
};
void run(const Launch& launch, const std::function<void()>& kernel);

// --- What device code calls ---

void block_barrier();
std::byte* dynamic_shared();
std::byte* static_shared(size_t bytes);  // the same for all threads of a block: by order of the calls
// All lanes of the warp give `bytes` (at most 64) of `in`; each gets the table of the 32 values, valid until its next
// exchange.
const std::byte* warp_exchange(const void* in, size_t bytes);
int lane();

void async_copy(void* to, const void* from, size_t bytes, size_t zero_bytes);
void async_commit();
void async_wait(int groups_left);

}  // namespace cove::cuda::emulated
