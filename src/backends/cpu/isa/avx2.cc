// AVX2 with FMA and F16C: Haswell, Zen and newer. bf16 weights are widened to f32.
#include <immintrin.h>

#include "backends/cpu/isa/kernel_table.h"
#include "backends/cpu/isa/macros.h"
#define KEEP(x) asm volatile("" : "+x"(x))

namespace cove::cpu::avx2 {

constexpr const char* kName = "avx2";
constexpr int kTileRows = 2;  // 8 sums, 4 weights, 1 input of 16 registers
constexpr int kDirectRows = 2;
constexpr int kBlockTileRows = 2;  // 4 f32 and 4 int32 sums

#include "backends/cpu/isa/vec_avx2.h"

#include "backends/cpu/isa/kernels.h"

constexpr int32_t kHasBf16Dot = 0;
constexpr void (*kPairTile)(const TileArgs&) = nullptr;
constexpr void (*kPairDirect)(const DirectArgs&) = nullptr;
constexpr void (*kPreparePairs)(const PrepareArgs&) = nullptr;
constexpr double (*kPeakBf16)(int64_t) = nullptr;

#include "backends/cpu/isa/table.h"

const KernelTable& kernels() { return kTable; }

}  // namespace cove::cpu::avx2
