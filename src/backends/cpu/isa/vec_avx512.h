// 16 floats in an AVX-512 register. Included by isa/avx512_*.cc inside their namespace, after <immintrin.h>.

using F = __m512;
using I = __m512i;
constexpr int kLanes = 16;

INLINE F zero() { return _mm512_setzero_ps(); }
INLINE F set1(float x) { return _mm512_set1_ps(x); }
INLINE F load(const float* p) { return _mm512_loadu_ps(p); }
INLINE void store(float* p, F x) { _mm512_storeu_ps(p, x); }
INLINE __mmask16 first(int64_t n) { return static_cast<__mmask16>((1U << n) - 1U); }
INLINE F load_n(const float* p, int64_t n) { return _mm512_maskz_loadu_ps(first(n), p); }
INLINE void store_n(float* p, F x, int64_t n) { _mm512_mask_storeu_ps(p, first(n), x); }
INLINE F fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
INLINE F add(F a, F b) { return _mm512_add_ps(a, b); }
INLINE F sub(F a, F b) { return _mm512_sub_ps(a, b); }
INLINE F mul(F a, F b) { return _mm512_mul_ps(a, b); }
INLINE F div(F a, F b) { return _mm512_div_ps(a, b); }
INLINE F max(F a, F b) { return _mm512_max_ps(a, b); }  // b where either is NaN
INLINE F min(F a, F b) { return _mm512_min_ps(a, b); }
INLINE F abs(F a) { return _mm512_abs_ps(a); }
INLINE float sum(F a) { return _mm512_reduce_add_ps(a); }
INLINE float largest(F a) { return _mm512_reduce_max_ps(a); }
// x in lanes [0, n), other in the rest.
INLINE F select_first(F x, F other, int64_t n) { return _mm512_mask_mov_ps(other, first(n), x); }
INLINE F round(F x) { return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
INLINE F times_power_of_two(F x, F n) { return _mm512_scalef_ps(x, n); }
INLINE F round_to_float(I x) { return _mm512_cvtepi32_ps(x); }

INLINE F load_f16(const uint16_t* p) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
INLINE F load_bf16(const uint16_t* p) {
  const __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}
INLINE void store_f16(uint16_t* p, F x) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
// Nearest even; NaN stays NaN.
INLINE __m256i to_bf16(F x) {
  const __m512i bits = _mm512_castps_si512(x);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
  const __mmask16 nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
  return _mm512_cvtepi32_epi16(
      _mm512_srli_epi32(_mm512_mask_mov_epi32(rounded, nan, _mm512_set1_epi32(0x7fc00000)), 16));
}
INLINE void store_bf16(uint16_t* p, F x) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), to_bf16(x)); }
INLINE void prefetch(const void* p) { _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T1); }

// Four floats in every quarter.
INLINE F repeat_quarter(const float* p) { return _mm512_broadcast_f32x4(_mm_loadu_ps(p)); }
// r[q] quarter s -> r[s] quarter q.
INLINE void transpose_quarters(F (&r)[4]) {
  const F a = _mm512_shuffle_f32x4(r[0], r[1], 0x44);
  const F b = _mm512_shuffle_f32x4(r[0], r[1], 0xee);
  const F c = _mm512_shuffle_f32x4(r[2], r[3], 0x44);
  const F d = _mm512_shuffle_f32x4(r[2], r[3], 0xee);
  r[0] = _mm512_shuffle_f32x4(a, c, 0x88);
  r[1] = _mm512_shuffle_f32x4(a, c, 0xdd);
  r[2] = _mm512_shuffle_f32x4(b, d, 0x88);
  r[3] = _mm512_shuffle_f32x4(b, d, 0xdd);
}
// Lane 4 q + v: the four partial sums in quarter q of vector v, (0 + 1) + (2 + 3).
INLINE F sum_partials(F v0, F v1, F v2, F v3) {
  const __m512d a = _mm512_castps_pd(_mm512_unpacklo_ps(v0, v1));
  const __m512d b = _mm512_castps_pd(_mm512_unpackhi_ps(v0, v1));
  const __m512d c = _mm512_castps_pd(_mm512_unpacklo_ps(v2, v3));
  const __m512d d = _mm512_castps_pd(_mm512_unpackhi_ps(v2, v3));
  const F low = add(_mm512_castpd_ps(_mm512_unpacklo_pd(a, c)), _mm512_castpd_ps(_mm512_unpackhi_pd(a, c)));
  const F high = add(_mm512_castpd_ps(_mm512_unpacklo_pd(b, d)), _mm512_castpd_ps(_mm512_unpackhi_pd(b, d)));
  return add(low, high);
}

// Eight products of int8 quants: w unsigned (biased), x signed, into 16 sums of four.
constexpr int kQ8Bias = 128;
constexpr int kQ4Bias = 8;
INLINE I set1_int(int32_t x) { return _mm512_set1_epi32(x); }
INLINE I load_int(const void* p) { return _mm512_loadu_si512(p); }
INLINE I dot_q8(I sum, I w, I x) { return _mm512_dpbusd_epi32(sum, w, x); }
INLINE I dot_q4(I sum, I w, I x) { return _mm512_dpbusd_epi32(sum, w, x); }
INLINE I low_nibbles(I w) { return _mm512_and_si512(w, _mm512_set1_epi8(15)); }
INLINE I high_nibbles(I w) { return _mm512_and_si512(_mm512_srli_epi16(w, 4), _mm512_set1_epi8(15)); }
// Bits of the largest |x| of 32 values, compared as integers.
INLINE uint32_t largest_magnitude(const F (&x)[2]) {
  const I magnitude = _mm512_set1_epi32(0x7fffffff);
  const I a = _mm512_and_si512(_mm512_castps_si512(x[0]), magnitude);
  return _mm512_reduce_max_epu32(_mm512_max_epu32(a, _mm512_and_si512(_mm512_castps_si512(x[1]), magnitude)));
}
// Rounds 16 values to int8 and stores them; |x| <= 127, NaN becomes anything.
INLINE void store_quants(int8_t* p, F x) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(x)));
}
// Sum of 32 quants.
INLINE int32_t sum_quants(const int8_t* p) {
  const __m256i biased =
      _mm256_xor_si256(_mm256_load_si256(reinterpret_cast<const __m256i*>(p)), _mm256_set1_epi8(-128));
  const __m256i sums = _mm256_sad_epu8(biased, _mm256_setzero_si256());
  const __m128i two = _mm_add_epi64(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
  return _mm_cvtsi128_si32(_mm_add_epi64(two, _mm_unpackhi_epi64(two, two))) - 32 * 128;
}
