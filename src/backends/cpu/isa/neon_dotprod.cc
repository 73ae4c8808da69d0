// NEON with dot products (sdot): Cortex-A76, Neoverse, Apple and newer. bf16 weights are widened to f32.
#include <arm_neon.h>

#include "backends/cpu/isa/kernel_table.h"
#include "backends/cpu/isa/macros.h"
#define KEEP(x) asm volatile("" : "+w"(x))

namespace cove::cpu::neon_dotprod {

constexpr const char* kName = "neon_dotprod";
constexpr int kTileRows = 6;  // 24 sums, 4 weights, 1 input of 32 registers
constexpr int kDirectRows = 4;
constexpr int kBlockTileRows = 4;  // 8 f32 and 8 int32 sums

#include "backends/cpu/isa/vec_neon.h"

#include "backends/cpu/isa/kernels.h"

constexpr int32_t kHasBf16Dot = 0;
constexpr void (*kPairTile)(const TileArgs&) = nullptr;
constexpr void (*kPairDirect)(const DirectArgs&) = nullptr;
constexpr void (*kPreparePairs)(const PrepareArgs&) = nullptr;
constexpr double (*kPeakBf16)(int64_t) = nullptr;

#include "backends/cpu/isa/table.h"

const KernelTable& kernels() { return kTable; }

}  // namespace cove::cpu::neon_dotprod
