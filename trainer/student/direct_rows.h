#pragma once
// Row by row arithmetic of a training step, in f32 with bf16 operands: norms, rotation, gated activation and their
// gradients. For direct_step.cc and direct_attention.cc; needs AVX-512 BF16. Lengths are multiples of 16.

#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include "student/amx_tiles.h"

namespace cove::trainer::direct {

using Bf16 = uint16_t;

constexpr int64_t kRows = 32;  // rows that one task computes: a strip of tiles

inline int64_t padded(int64_t rows) { return (rows + kRows - 1) / kRows * kRows; }

// A row-major matrix that keeps its memory.
template <class T>
struct Matrix {
  std::vector<T> values;
  int64_t columns = 0;

  void resize(int64_t rows, int64_t new_columns) {
    columns = new_columns;
    if (static_cast<int64_t>(values.size()) < rows * columns) values.resize(static_cast<size_t>(rows * columns));
  }
  T* row(int64_t r) { return values.data() + r * columns; }
  const T* row(int64_t r) const { return values.data() + r * columns; }
};

inline Bf16* reserve(std::vector<Bf16>& memory, int64_t elements) {
  if (static_cast<int64_t>(memory.size()) < elements) memory.resize(static_cast<size_t>(elements));
  return memory.data();
}

inline float sum(__m512 x) { return _mm512_reduce_add_ps(x); }

// out = x / rms(x) * weight
inline void norm(const float* x, const Bf16* weight, int64_t n, double eps, Bf16* out, float* scale) {
  __m512 squares = _mm512_setzero_ps();
  for (int64_t i = 0; i < n; i += 16) {
    const __m512 v = _mm512_loadu_ps(x + i);
    squares = _mm512_fmadd_ps(v, v, squares);
  }
  *scale = 1.0F / std::sqrt(sum(squares) / static_cast<float>(n) + static_cast<float>(eps));
  const __m512 r = _mm512_set1_ps(*scale);
  for (int64_t i = 0; i < n; i += 16)
    amx::store(out + i, _mm512_mul_ps(_mm512_mul_ps(_mm512_loadu_ps(x + i), r), amx::load(weight + i)));
}

// dx += the norm's gradient for `dy`; weight_gradient += dy * x / rms(x). With u = dy * weight and h = x / rms(x):
// scale * (u - h * mean(u h)).
inline void norm_gradient(const float* dy, const float* x, float scale, const Bf16* weight, int64_t n, float* dx,
                          float* weight_gradient) {
  const __m512 r = _mm512_set1_ps(scale);
  __m512 dot = _mm512_setzero_ps();
  for (int64_t i = 0; i < n; i += 16) {
    const __m512 h = _mm512_mul_ps(_mm512_loadu_ps(x + i), r);
    const __m512 d = _mm512_loadu_ps(dy + i);
    dot = _mm512_fmadd_ps(_mm512_mul_ps(d, amx::load(weight + i)), h, dot);
    _mm512_storeu_ps(weight_gradient + i, _mm512_fmadd_ps(d, h, _mm512_loadu_ps(weight_gradient + i)));
  }
  const __m512 mean = _mm512_set1_ps(sum(dot) / static_cast<float>(n));
  for (int64_t i = 0; i < n; i += 16) {
    const __m512 h = _mm512_mul_ps(_mm512_loadu_ps(x + i), r);
    const __m512 u = _mm512_mul_ps(_mm512_loadu_ps(dy + i), amx::load(weight + i));
    const __m512 inner = _mm512_mul_ps(r, _mm512_fnmadd_ps(h, mean, u));
    _mm512_storeu_ps(dx + i, _mm512_add_ps(_mm512_loadu_ps(dx + i), inner));
  }
}

// (i, i + half) pairs of one head by the angles whose cosines and sines are given; direction -1 turns back.
inline void rotate(float* head, const float* cos, const float* sin, int64_t half, float direction) {
  for (int64_t i = 0; i < half; i += 16) {
    const __m512 a = _mm512_loadu_ps(head + i), b = _mm512_loadu_ps(head + half + i);
    const __m512 c = _mm512_loadu_ps(cos + i), s = _mm512_mul_ps(_mm512_loadu_ps(sin + i), _mm512_set1_ps(direction));
    _mm512_storeu_ps(head + i, _mm512_fnmadd_ps(b, s, _mm512_mul_ps(a, c)));
    _mm512_storeu_ps(head + half + i, _mm512_fmadd_ps(a, s, _mm512_mul_ps(b, c)));
  }
}

inline __m512 sigmoid(__m512 x) {
  const __m512 one = _mm512_set1_ps(1.0F);
  return _mm512_div_ps(one, _mm512_add_ps(one, amx::exp(_mm512_sub_ps(_mm512_setzero_ps(), x))));
}

// gate_up is gate [ffn], then up [ffn]; out = gate sigmoid(gate) up.
inline void swiglu(const Bf16* gate_up, int64_t ffn, Bf16* out) {
  for (int64_t i = 0; i < ffn; i += 16) {
    const __m512 gate = amx::load(gate_up + i);
    amx::store(out + i, _mm512_mul_ps(_mm512_mul_ps(gate, sigmoid(gate)), amx::load(gate_up + ffn + i)));
  }
}
inline void swiglu_gradient(const Bf16* gate_up, const Bf16* d_out, int64_t ffn, Bf16* d_gate_up) {
  const __m512 one = _mm512_set1_ps(1.0F);
  for (int64_t i = 0; i < ffn; i += 16) {
    const __m512 gate = amx::load(gate_up + i), up = amx::load(gate_up + ffn + i), d = amx::load(d_out + i);
    const __m512 sig = sigmoid(gate);
    const __m512 slope = _mm512_mul_ps(sig, _mm512_fmadd_ps(gate, _mm512_sub_ps(one, sig), one));
    amx::store(d_gate_up + i, _mm512_mul_ps(_mm512_mul_ps(d, up), slope));
    amx::store(d_gate_up + ffn + i, _mm512_mul_ps(d, _mm512_mul_ps(gate, sig)));
  }
}
inline void to_bf16(const float* in, Bf16* out, int64_t count) {
  for (int64_t i = 0; i < count; i += 16) amx::store(out + i, _mm512_loadu_ps(in + i));
}
// A block of results goes to rows of f32 or bf16, or is added to rows of f32.
inline void write(const float* block, float* out, int64_t ld) {
  for (int64_t r = 0; r < 32; ++r) std::memcpy(out + r * ld, block + r * 32, 128);
}
inline void write(const float* block, Bf16* out, int64_t ld) {
  for (int64_t r = 0; r < 32; ++r) to_bf16(block + r * 32, out + r * ld, 32);
}
inline void add(const float* block, float* out, int64_t ld) {
  for (int64_t r = 0; r < 32; ++r) {
    for (int64_t i = 0; i < 32; i += 16) {
      float* at = out + r * ld + i;
      _mm512_storeu_ps(at, _mm512_add_ps(_mm512_loadu_ps(at), _mm512_loadu_ps(block + r * 32 + i)));
    }
  }
}

}  // namespace cove::trainer::direct
