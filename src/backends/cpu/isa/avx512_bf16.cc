// AVX-512 F, BW, DQ, VL with VNNI and BF16: Zen 4 and newer, Cooper Lake, Sapphire Rapids and newer.
#include <immintrin.h>

#include "backends/cpu/isa/kernel_table.h"
#include "backends/cpu/isa/macros.h"
#define KEEP(x) asm volatile("" : "+v"(x))

namespace cove::cpu::avx512_bf16 {

constexpr const char* kName = "avx512_bf16";
constexpr int kTileRows = 12;      // 24 sums, 2 weights, 1 broadcast of 32 registers
constexpr int kBlockTileRows = 6;  // 12 f32 and 12 int32 sums

#include "backends/cpu/isa/vec_avx512.h"

#include "backends/cpu/isa/kernels.h"

// Two products of bf16 a lane. The instruction flushes subnormals to zero and rounds to nearest even, whatever MXCSR
// says.
struct PairDot {
  INLINE F step(F sum, F w, F x) { return _mm512_dpbf16_ps(sum, (__m512bh)w, (__m512bh)x); }
};

static void prepare_pairs(const PrepareArgs& args) {
  auto* out = static_cast<uint32_t*>(args.out) + args.row;
  alignas(64) uint32_t pairs[kLanes / 2];
  for (int64_t k = 0; k < args.inputs; k += kLanes) {
    const int64_t n = args.inputs - k < kLanes ? args.inputs - k : kLanes;
    const __m256i rounded = (__m256i)_mm512_cvtneps_pbh(load_n(args.x + k, n));
    if (args.rows == 1) {  // decode: the row is its own tile; its buffer is rounded up to whole vectors
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + k / 2), rounded);
      continue;
    }
    _mm256_store_si256(reinterpret_cast<__m256i*>(pairs), rounded);
    for (int64_t i = 0; i < (n + 1) / 2; ++i) out[(k / 2 + i) * args.rows] = pairs[i];
  }
}

static double peak_bf16(int64_t rounds) {
  F sums[kPeakSums];
  UNROLL for (int i = 0; i < kPeakSums; ++i) sums[i] = set1(static_cast<float>(i));
  const F a = set1(0.5F);
  for (int64_t round = 0; round < rounds; ++round) {
    UNROLL for (int i = 0; i < kPeakSums; ++i) sums[i] = PairDot::step(sums[i], a, a);
    UNROLL for (int i = 0; i < kPeakSums; ++i) KEEP(sums[i]);
  }
  return static_cast<double>(rounds) * kPeakSums * kLanes * 4;
}

constexpr int32_t kHasBf16Dot = 1;
constexpr auto kPairTile = tile<PairDot>;
constexpr auto kPreparePairs = prepare_pairs;
constexpr auto kPeakBf16 = peak_bf16;

#include "backends/cpu/isa/table.h"

const KernelTable& kernels() { return kTable; }

}  // namespace cove::cpu::avx512_bf16
