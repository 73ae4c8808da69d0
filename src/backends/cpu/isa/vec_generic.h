// 4 floats in the compiler's vector extension: whatever the baseline of the architecture has (SSE2 on x86-64). Included
// by isa/generic.cc inside its namespace. No fused multiply-add: products are rounded before they are added.

typedef float F __attribute__((vector_size(16)));
typedef int32_t I __attribute__((vector_size(16)));
constexpr int kLanes = 4;

INLINE F zero() { return F{}; }
INLINE F set1(float x) { return F{x, x, x, x}; }
INLINE F load(const float* p) {
  F x;
  __builtin_memcpy(&x, p, sizeof(x));
  return x;
}
INLINE void store(float* p, F x) { __builtin_memcpy(p, &x, sizeof(x)); }
INLINE F load_n(const float* p, int64_t n) {
  F x = {};
  for (int64_t i = 0; i < n && i < kLanes; ++i) x[i] = p[i];
  return x;
}
INLINE void store_n(float* p, F x, int64_t n) {
  for (int64_t i = 0; i < n && i < kLanes; ++i) p[i] = x[i];
}
INLINE F fma(F a, F b, F c) { return a * b + c; }
INLINE F add(F a, F b) { return a + b; }
INLINE F sub(F a, F b) { return a - b; }
INLINE F mul(F a, F b) { return a * b; }
INLINE F div(F a, F b) { return a / b; }
INLINE F max(F a, F b) { return a > b ? a : b; }  // b where either is NaN
INLINE F min(F a, F b) { return a < b ? a : b; }
INLINE F abs(F a) { return reinterpret_cast<F>(reinterpret_cast<I>(a) & 0x7fffffff); }
INLINE float sum(F a) { return (a[0] + a[1]) + (a[2] + a[3]); }
INLINE float largest(F a) {
  const float low = a[0] > a[1] ? a[0] : a[1];
  const float high = a[2] > a[3] ? a[2] : a[3];
  return low > high ? low : high;
}
// x in lanes [0, n), other in the rest.
INLINE F select_first(F x, F other, int64_t n) {
  const int32_t count = static_cast<int32_t>(n);
  return I{0, 1, 2, 3} < I{count, count, count, count} ? x : other;
}
// Nearest even by adding and taking away 1.5 * 2^23; |x| < 2^22.
INLINE F round(F x) { return (x + 12582912.0F) - 12582912.0F; }
// n integral in [-126, 127].
INLINE F times_power_of_two(F x, F n) { return x * reinterpret_cast<F>((__builtin_convertvector(n, I) + 127) << 23); }
INLINE F round_to_float(I x) { return __builtin_convertvector(x, F); }

INLINE float f16_to_float(uint16_t half) {
  const uint32_t magnitude = half & 0x7fffU;
  uint32_t bits = (magnitude << 13) + (magnitude >= 0x7c00U ? 224U << 23 : 112U << 23);
  const float subnormal = static_cast<float>(magnitude) * 0x1p-24F;
  if (magnitude < 0x0400U) __builtin_memcpy(&bits, &subnormal, 4);
  bits |= static_cast<uint32_t>(half & 0x8000U) << 16;
  float value;
  __builtin_memcpy(&value, &bits, 4);
  return value;
}
INLINE uint16_t float_to_f16(float value) {
  uint32_t bits;
  __builtin_memcpy(&bits, &value, 4);
  const uint16_t sign = static_cast<uint16_t>((bits >> 16) & 0x8000U);
  const uint32_t magnitude = bits & 0x7fffffffU;
  if (magnitude > 0x7f800000U) return static_cast<uint16_t>(sign | 0x7e00U);
  if (magnitude >= 0x477ff000U) return static_cast<uint16_t>(sign | 0x7c00U);
  if (magnitude < 0x38800000U) {
    // Next to 0.5 a float's last bit is 2^-24, the unit of half's subnormals: the addition rounds.
    float small;
    __builtin_memcpy(&small, &magnitude, 4);
    small += 0.5F;
    uint32_t rounded;
    __builtin_memcpy(&rounded, &small, 4);
    return static_cast<uint16_t>(sign | (rounded - 0x3f000000U));
  }
  return static_cast<uint16_t>(sign | ((magnitude - (112U << 23) + 0x0fffU + ((magnitude >> 13) & 1U)) >> 13));
}
INLINE F load_f16(const uint16_t* p) {
  return F{f16_to_float(p[0]), f16_to_float(p[1]), f16_to_float(p[2]), f16_to_float(p[3])};
}
INLINE F load_bf16(const uint16_t* p) { return reinterpret_cast<F>(I{p[0] << 16, p[1] << 16, p[2] << 16, p[3] << 16}); }
INLINE void store_f16(uint16_t* p, F x) {
  for (int i = 0; i < kLanes; ++i) p[i] = float_to_f16(x[i]);
}
// Nearest even; NaN stays NaN.
INLINE void store_bf16(uint16_t* p, F x) {
  for (int i = 0; i < kLanes; ++i) {
    const float value = x[i];
    uint32_t bits;
    __builtin_memcpy(&bits, &value, 4);
    p[i] = static_cast<uint16_t>(value != value ? 0x7fc0U : (bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16);
  }
}
INLINE void prefetch(const void* p) { __builtin_prefetch(p, 0, 2); }

INLINE F repeat_quarter(const float* p) { return load(p); }
INLINE void transpose_quarters(F (&)[1]) {}
// Lane v: the four partial sums in vector v, (0 + 1) + (2 + 3).
INLINE F sum_partials(F v0, F v1, F v2, F v3) { return F{sum(v0), sum(v1), sum(v2), sum(v3)}; }

// Signed by signed, four products a lane.
constexpr int kQ8Bias = 0;
constexpr int kQ4Bias = 8;
INLINE I set1_int(int32_t x) { return I{x, x, x, x}; }
INLINE I load_int(const void* p) {
  I x;
  __builtin_memcpy(&x, p, sizeof(x));
  return x;
}
INLINE I dot_q8(I sum, I w, I x) {
  UNROLL for (int i = 0; i < 4; ++i) sum += ((w << (24 - 8 * i)) >> 24) * ((x << (24 - 8 * i)) >> 24);
  return sum;
}
INLINE I dot_q4(I sum, I w, I x) { return dot_q8(sum, w, x); }
INLINE I low_nibbles(I w) { return w & 0x0f0f0f0f; }
INLINE I high_nibbles(I w) { return (w >> 4) & 0x0f0f0f0f; }
// Bits of the largest |x| of 32 values, compared as integers.
INLINE uint32_t largest_magnitude(const F (&x)[8]) {
  I top = {};
  for (int i = 0; i < 8; ++i) {
    const I magnitude = reinterpret_cast<I>(x[i]) & 0x7fffffff;
    top = magnitude > top ? magnitude : top;
  }
  const int32_t low = top[0] > top[1] ? top[0] : top[1];
  const int32_t high = top[2] > top[3] ? top[2] : top[3];
  return static_cast<uint32_t>(low > high ? low : high);
}
// Rounds 4 values to int8 and stores them; |x| <= 127, NaN becomes anything.
INLINE void store_quants(int8_t* p, F x) {
  const F rounded = round(x);
  for (int i = 0; i < kLanes; ++i)
    p[i] = rounded[i] >= -127.0F && rounded[i] <= 127.0F ? static_cast<int8_t>(rounded[i]) : 0;
}
// Sum of 32 quants.
INLINE int32_t sum_quants(const int8_t* p) {
  int32_t total = 0;
  for (int i = 0; i < 32; ++i) total += p[i];
  return total;
}
