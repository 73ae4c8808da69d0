// 8 floats in an AVX2 register. Included by isa/avx2.cc inside its namespace, after <immintrin.h>.

using F = __m256;
using I = __m256i;
constexpr int kLanes = 8;

INLINE F zero() { return _mm256_setzero_ps(); }
INLINE F set1(float x) { return _mm256_set1_ps(x); }
INLINE F load(const float* p) { return _mm256_loadu_ps(p); }
INLINE void store(float* p, F x) { _mm256_storeu_ps(p, x); }
INLINE I first(int64_t n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
INLINE F load_n(const float* p, int64_t n) { return _mm256_maskload_ps(p, first(n)); }
INLINE void store_n(float* p, F x, int64_t n) { _mm256_maskstore_ps(p, first(n), x); }
INLINE F fma(F a, F b, F c) { return _mm256_fmadd_ps(a, b, c); }
INLINE F add(F a, F b) { return _mm256_add_ps(a, b); }
INLINE F sub(F a, F b) { return _mm256_sub_ps(a, b); }
INLINE F mul(F a, F b) { return _mm256_mul_ps(a, b); }
INLINE F div(F a, F b) { return _mm256_div_ps(a, b); }
INLINE F max(F a, F b) { return _mm256_max_ps(a, b); }  // b where either is NaN
INLINE F min(F a, F b) { return _mm256_min_ps(a, b); }
INLINE F abs(F a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0F), a); }
INLINE float sum(F a) {
  __m128 x = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  x = _mm_add_ps(x, _mm_movehl_ps(x, x));
  return _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)));
}
INLINE float largest(F a) {
  __m128 x = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  x = _mm_max_ps(x, _mm_movehl_ps(x, x));
  return _mm_cvtss_f32(_mm_max_ss(x, _mm_movehdup_ps(x)));
}
// x in lanes [0, n), other in the rest.
INLINE F select_first(F x, F other, int64_t n) { return _mm256_blendv_ps(other, x, _mm256_castsi256_ps(first(n))); }
INLINE F round(F x) { return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
// n integral in [-126, 127].
INLINE F times_power_of_two(F x, F n) {
  const I exponent = _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);
  return _mm256_mul_ps(x, _mm256_castsi256_ps(exponent));
}
INLINE F round_to_float(I x) { return _mm256_cvtepi32_ps(x); }

INLINE F load_f16(const uint16_t* p) { return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))); }
INLINE F load_bf16(const uint16_t* p) {
  const I wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
}
INLINE void store_f16(uint16_t* p, F x) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
// Nearest even; NaN stays NaN.
INLINE void store_bf16(uint16_t* p, F x) {
  const I bits = _mm256_castps_si256(x);
  const I odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  const I rounded = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
  const F nan = _mm256_cmp_ps(x, x, _CMP_UNORD_Q);
  const F chosen =
      _mm256_blendv_ps(_mm256_castsi256_ps(rounded), _mm256_castsi256_ps(_mm256_set1_epi32(0x7fc00000)), nan);
  const I high = _mm256_srli_epi32(_mm256_castps_si256(chosen), 16);
  const I packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(high, high), 0x08);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_castsi256_si128(packed));
}
INLINE void prefetch(const void* p) { _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T1); }

// Four floats in both quarters.
INLINE F repeat_quarter(const float* p) { return _mm256_broadcast_ps(reinterpret_cast<const __m128*>(p)); }
// r[q] quarter s -> r[s] quarter q.
INLINE void transpose_quarters(F (&r)[2]) {
  const F low = _mm256_permute2f128_ps(r[0], r[1], 0x20);
  r[1] = _mm256_permute2f128_ps(r[0], r[1], 0x31);
  r[0] = low;
}
// Lane 4 q + v: the four partial sums in quarter q of vector v, (0 + 1) + (2 + 3).
INLINE F sum_partials(F v0, F v1, F v2, F v3) {
  const F a = _mm256_unpacklo_ps(v0, v1);
  const F b = _mm256_unpackhi_ps(v0, v1);
  const F c = _mm256_unpacklo_ps(v2, v3);
  const F d = _mm256_unpackhi_ps(v2, v3);
  const F low = add(_mm256_shuffle_ps(a, c, 0x44), _mm256_shuffle_ps(a, c, 0xee));
  const F high = add(_mm256_shuffle_ps(b, d, 0x44), _mm256_shuffle_ps(b, d, 0xee));
  return add(low, high);
}

// q8_0 stays signed: unsigned times signed would overflow the 16-bit sums of maddubs, |w| times sign(x, w) cannot (128
// * 127 * 2). 4-bit values are at most 15 * 127 * 2.
constexpr int kQ8Bias = 0;
constexpr int kQ4Bias = 8;
INLINE I set1_int(int32_t x) { return _mm256_set1_epi32(x); }
INLINE I load_int(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }
INLINE I add_pairs(I sum, I products) {
  return _mm256_add_epi32(sum, _mm256_madd_epi16(products, _mm256_set1_epi16(1)));
}
INLINE I dot_q8(I sum, I w, I x) {
  return add_pairs(sum, _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w)));
}
INLINE I dot_q4(I sum, I w, I x) { return add_pairs(sum, _mm256_maddubs_epi16(w, x)); }
INLINE I low_nibbles(I w) { return _mm256_and_si256(w, _mm256_set1_epi8(15)); }
INLINE I high_nibbles(I w) { return _mm256_and_si256(_mm256_srli_epi16(w, 4), _mm256_set1_epi8(15)); }
// Bits of the largest |x| of 32 values, compared as integers.
INLINE uint32_t largest_magnitude(const F (&x)[4]) {
  I top = _mm256_setzero_si256();
  UNROLL for (int i = 0; i < 4; ++i) {
    top = _mm256_max_epu32(top, _mm256_and_si256(_mm256_castps_si256(x[i]), _mm256_set1_epi32(0x7fffffff)));
  }
  __m128i s = _mm_max_epu32(_mm256_castsi256_si128(top), _mm256_extracti128_si256(top, 1));
  s = _mm_max_epu32(s, _mm_shuffle_epi32(s, 0x4e));
  return static_cast<uint32_t>(_mm_cvtsi128_si32(_mm_max_epu32(s, _mm_shuffle_epi32(s, 0xb1))));
}
// Rounds 8 values to int8 and stores them; |x| <= 127, NaN becomes anything.
INLINE void store_quants(int8_t* p, F x) {
  const I rounded = _mm256_cvtps_epi32(x);
  const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(rounded), _mm256_extracti128_si256(rounded, 1));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packs_epi16(words, words));
}
// Sum of 32 quants.
INLINE int32_t sum_quants(const int8_t* p) {
  const I biased = _mm256_xor_si256(_mm256_load_si256(reinterpret_cast<const I*>(p)), _mm256_set1_epi8(-128));
  const I sums = _mm256_sad_epu8(biased, _mm256_setzero_si256());
  const __m128i two = _mm_add_epi64(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
  return _mm_cvtsi128_si32(_mm_add_epi64(two, _mm_unpackhi_epi64(two, two))) - 32 * 128;
}
