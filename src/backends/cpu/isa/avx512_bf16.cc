// AVX-512 F, BW, DQ, VL with VNNI and BF16: Zen 4 and newer, Cooper Lake, Sapphire Rapids and newer.
#include <immintrin.h>

#include "backends/cpu/isa/kernel_table.h"
#include "backends/cpu/isa/macros.h"
#define KEEP(x) asm volatile("" : "+v"(x))

namespace cove::cpu::avx512_bf16 {

constexpr const char* kName = "avx512_bf16";
constexpr int kTileRows = 6;  // 24 sums, 4 weights, 1 input of 32 registers
constexpr int kDirectRows = 4;
constexpr int kBlockTileRows = 6;  // 12 f32 and 12 int32 sums

#include "backends/cpu/isa/vec_avx512.h"

#include "backends/cpu/isa/kernels.h"

// Two products of bf16 a lane. The instruction flushes subnormals to zero and rounds to nearest even, whatever MXCSR
// says.
struct PairDot {
  INLINE F step(F sum, F w, F x) { return _mm512_dpbf16_ps(sum, (__m512bh)w, (__m512bh)x); }
};

static void prepare_pairs(const PrepareArgs& args) {
  char* out = static_cast<char*>(args.out);
  for (int64_t k = 0; k < args.inputs; k += kLanes, out += args.rows * 32) {
    const int64_t n = args.inputs - k < kLanes ? args.inputs - k : kLanes;
    for (int64_t r = 0; r < args.rows; ++r) {
      const __m256i rounded = (__m256i)_mm512_cvtneps_pbh(load_n(args.x + r * args.inputs + k, n));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(out + r * 16), _mm256_castsi256_si128(rounded));
      if (n > kLanes / 2) {
        _mm_storeu_si128(reinterpret_cast<__m128i*>(out + (args.rows + r) * 16), _mm256_extracti128_si256(rounded, 1));
      }
    }
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
constexpr auto kPairDirect = direct<PairDot, RawRows>;
constexpr auto kPreparePairs = prepare_pairs;
constexpr auto kPeakBf16 = peak_bf16;

#include "backends/cpu/isa/table.h"

const KernelTable& kernels() { return kTable; }

}  // namespace cove::cpu::avx512_bf16
