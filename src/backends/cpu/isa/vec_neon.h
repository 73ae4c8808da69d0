// 4 floats in a NEON register. Included by isa/neon_dotprod.cc inside its namespace, after <arm_neon.h>.

using F = float32x4_t;
using I = int32x4_t;
constexpr int kLanes = 4;

INLINE F zero() { return vdupq_n_f32(0.0F); }
INLINE F set1(float x) { return vdupq_n_f32(x); }
INLINE F load(const float* p) { return vld1q_f32(p); }
INLINE void store(float* p, F x) { vst1q_f32(p, x); }
INLINE F load_n(const float* p, int64_t n) {
  float values[kLanes] = {};
  for (int64_t i = 0; i < n && i < kLanes; ++i) values[i] = p[i];
  return vld1q_f32(values);
}
INLINE void store_n(float* p, F x, int64_t n) {
  float values[kLanes];
  vst1q_f32(values, x);
  for (int64_t i = 0; i < n && i < kLanes; ++i) p[i] = values[i];
}
INLINE F fma(F a, F b, F c) { return vfmaq_f32(c, a, b); }
INLINE F add(F a, F b) { return vaddq_f32(a, b); }
INLINE F sub(F a, F b) { return vsubq_f32(a, b); }
INLINE F mul(F a, F b) { return vmulq_f32(a, b); }
INLINE F div(F a, F b) { return vdivq_f32(a, b); }
INLINE F max(F a, F b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }  // b where either is NaN
INLINE F min(F a, F b) { return vbslq_f32(vcltq_f32(a, b), a, b); }
INLINE F abs(F a) { return vabsq_f32(a); }
INLINE float sum(F a) { return vaddvq_f32(a); }
INLINE float largest(F a) { return vmaxvq_f32(a); }
// x in lanes [0, n), other in the rest.
INLINE F select_first(F x, F other, int64_t n) {
  const int32x4_t lanes = {0, 1, 2, 3};
  return vbslq_f32(vcltq_s32(lanes, vdupq_n_s32(static_cast<int32_t>(n))), x, other);
}
INLINE F round(F x) { return vrndnq_f32(x); }
// n integral in [-126, 127].
INLINE F times_power_of_two(F x, F n) {
  return vmulq_f32(x, vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(vcvtq_s32_f32(n), vdupq_n_s32(127)), 23)));
}
INLINE F round_to_float(I x) { return vcvtq_f32_s32(x); }

INLINE F load_f16(const uint16_t* p) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p))); }
INLINE F load_bf16(const uint16_t* p) { return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p), 16)); }
INLINE void store_f16(uint16_t* p, F x) { vst1_u16(p, vreinterpret_u16_f16(vcvt_f16_f32(x))); }
// Nearest even; NaN stays NaN.
INLINE void store_bf16(uint16_t* p, F x) {
  const uint32x4_t bits = vreinterpretq_u32_f32(x);
  const uint32x4_t odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
  const uint32x4_t rounded = vaddq_u32(bits, vaddq_u32(odd, vdupq_n_u32(0x7fff)));
  const uint32x4_t chosen = vbslq_u32(vceqq_f32(x, x), rounded, vdupq_n_u32(0x7fc00000));
  vst1_u16(p, vshrn_n_u32(chosen, 16));
}
INLINE void prefetch(const void* p) { __builtin_prefetch(p, 0, 2); }

INLINE F repeat_quarter(const float* p) { return load(p); }
INLINE void transpose_quarters(F (&)[1]) {}
// Lane v: the four partial sums in vector v, (0 + 1) + (2 + 3).
INLINE F sum_partials(F v0, F v1, F v2, F v3) { return vpaddq_f32(vpaddq_f32(v0, v1), vpaddq_f32(v2, v3)); }

// sdot multiplies signed by signed.
constexpr int kQ8Bias = 0;
constexpr int kQ4Bias = 8;
INLINE I set1_int(int32_t x) { return vdupq_n_s32(x); }
INLINE I load_int(const void* p) { return vreinterpretq_s32_s8(vld1q_s8(static_cast<const int8_t*>(p))); }
INLINE I dot_q8(I sum, I w, I x) { return vdotq_s32(sum, vreinterpretq_s8_s32(w), vreinterpretq_s8_s32(x)); }
INLINE I dot_q4(I sum, I w, I x) { return dot_q8(sum, w, x); }
INLINE I low_nibbles(I w) { return vandq_s32(w, vdupq_n_s32(0x0f0f0f0f)); }
INLINE I high_nibbles(I w) { return vandq_s32(vshrq_n_s32(w, 4), vdupq_n_s32(0x0f0f0f0f)); }
// Bits of the largest |x| of 32 values, compared as integers.
INLINE uint32_t largest_magnitude(const F (&x)[8]) {
  uint32x4_t top = vdupq_n_u32(0);
  for (int i = 0; i < 8; ++i) top = vmaxq_u32(top, vandq_u32(vreinterpretq_u32_f32(x[i]), vdupq_n_u32(0x7fffffff)));
  return vmaxvq_u32(top);
}
// Rounds 4 values to int8 and stores them; |x| <= 127, NaN becomes anything.
INLINE void store_quants(int8_t* p, F x) {
  int32_t values[kLanes];
  vst1q_s32(values, vcvtnq_s32_f32(x));
  for (int i = 0; i < kLanes; ++i) p[i] = static_cast<int8_t>(values[i]);
}
// Sum of 32 quants.
INLINE int32_t sum_quants(const int8_t* p) { return vaddlvq_s8(vld1q_s8(p)) + vaddlvq_s8(vld1q_s8(p + 16)); }
