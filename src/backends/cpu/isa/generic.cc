// Plain C++ for any 64-bit processor, and the check of the other tables on machines that lack them.

#include <stdint.h>

#include "backends/cpu/isa/kernel_table.h"
#include "backends/cpu/isa/macros.h"
#define KEEP(x) asm volatile("" : "+m"(x))

namespace cove::cpu::generic {

constexpr const char* kName = "generic";
constexpr int kTileRows = 2;  // 8 sums, 4 weights, 1 input of 16 registers
constexpr int kDirectRows = 2;
constexpr int kBlockTileRows = 2;

#include "backends/cpu/isa/vec_generic.h"

#include "backends/cpu/isa/kernels.h"

constexpr int32_t kHasBf16Dot = 0;
constexpr void (*kPairTile)(const TileArgs&) = nullptr;
constexpr void (*kPairDirect)(const DirectArgs&) = nullptr;
constexpr void (*kPreparePairs)(const PrepareArgs&) = nullptr;
constexpr double (*kPeakBf16)(int64_t) = nullptr;

#include "backends/cpu/isa/table.h"

const KernelTable& kernels() { return kTable; }

}  // namespace cove::cpu::generic
