// Compiled only where the compiler knows AMX, as direct_step.cc.
#include "student/direct_attention.h"

#include <algorithm>

namespace cove::trainer::direct {
namespace {

using amx::Range;

__mmask16 visible_lanes(int64_t left) {
  return static_cast<__mmask16>(left >= 16 ? 0xffff : left <= 0 ? 0 : (1 << left) - 1);
}

}  // namespace

// Copies one head's columns of the document's rows, followed by zeros up to a multiple of 32.
void Attention::copy_head(const Bf16* column, int64_t ld, Document document, Matrix<Bf16>& out) const {
  const int64_t n = document.end - document.begin;
  out.resize(padded(n), head_dim_);
  const auto bytes = static_cast<size_t>(head_dim_) * sizeof(Bf16);
  for (int64_t i = 0; i < n; ++i) std::memcpy(out.row(i), column + (document.begin + i) * ld, bytes);
  std::memset(out.row(n), 0, bytes * static_cast<size_t>(padded(n) - n));
}

void Attention::load_keys_and_values(const Matrix<Bf16>& qkv, int64_t group, Document document,
                                     AttentionScratch& scratch) const {
  copy_head(qkv.row(0) + (heads_ + group) * head_dim_, width_, document, scratch.k);
  copy_head(qkv.row(0) + (heads_ + kv_heads_ + group) * head_dim_, width_, document, scratch.v);
}

// x [n, head_dim] as a right operand: sum over head_dim (its rows are the columns of the result).
const Bf16* Attention::pack_over_dims(const Matrix<Bf16>& x, int64_t n, std::vector<Bf16>& memory) const {
  Bf16* tiles = reserve(memory, n * head_dim_);
  const int64_t k_blocks = head_dim_ / 32;
  for (int64_t k = 0; k < k_blocks; ++k)
    for (int64_t i = 0; i < n / 16; ++i) amx::pack_right_transposed(x.values.data(), head_dim_, k_blocks, k, i, tiles);
  return tiles;
}

// x [n, head_dim] as a right operand: sum over tokens.
const Bf16* Attention::pack_over_tokens(const Matrix<Bf16>& x, int64_t n, std::vector<Bf16>& memory) const {
  Bf16* tiles = reserve(memory, n * head_dim_);
  for (int64_t k = 0; k < n / 32; ++k)
    for (int64_t i = 0; i < head_dim_ / 16; ++i) amx::pack_right(x.values.data(), head_dim_, n / 32, k, i, tiles);
  return tiles;
}

// out [32, n] = rows of left times tiles, blocks up to the diagonal.
void Attention::scores_of(const Matrix<Bf16>& left, const Bf16* tiles, int64_t strip, int64_t n,
                          Matrix<float>& out) const {
  out.resize(kRows, n);
  amx::multiply(amx::Rows{left.row(strip * kRows), head_dim_}, tiles, head_dim_ / 32, Range{0, strip + 1},
                Range{0, head_dim_ / 32},
                [&](int64_t column, const float* block) { write(block, out.row(0) + column, n); });
}

float Attention::score_scale() const { return 1.0F / std::sqrt(static_cast<float>(head_dim_)); }

// Scores of one row become e^(scale score - shift) in place, 0 from `visible` on; their sum. `width` is a multiple of
// 32.
float Attention::exponentials(float* row, int64_t visible, int64_t width, float shift) const {
  const __m512 scale = _mm512_set1_ps(score_scale()), minus = _mm512_set1_ps(-shift);
  __m512 total = _mm512_setzero_ps();
  for (int64_t i = 0; i < width; i += 16) {
    const __m512 e = amx::exp(_mm512_fmadd_ps(_mm512_loadu_ps(row + i), scale, minus));
    const __m512 kept = _mm512_maskz_mov_ps(visible_lanes(visible - i), e);
    _mm512_storeu_ps(row + i, kept);
    total = _mm512_add_ps(total, kept);
  }
  return sum(total);
}

void Attention::attend(const Matrix<Bf16>& qkv, Document document, AttentionScratch& scratch, Matrix<Bf16>& attended,
                       Matrix<float>& log_sums) const {
  const int64_t n = padded(document.end - document.begin), repeat = heads_ / kv_heads_;
  for (int64_t group = 0; group < kv_heads_; ++group) {
    load_keys_and_values(qkv, group, document, scratch);
    const Bf16* keys = pack_over_dims(scratch.k, n, scratch.keys);
    const Bf16* values = pack_over_tokens(scratch.v, n, scratch.values);
    for (int64_t head = group * repeat; head < (group + 1) * repeat; ++head) {
      copy_head(qkv.row(0) + head * head_dim_, width_, document, scratch.q);
      for (int64_t strip = 0; strip < n / 32; ++strip) {
        scores_of(scratch.q, keys, strip, n, scratch.scores);
        weigh_strip(head, strip, document, scratch, log_sums);
        mix_strip(head, strip, document, values, scratch, attended);
      }
    }
  }
}

// The softmax of 32 rows of scores.
void Attention::weigh_strip(int64_t head, int64_t strip, Document document, AttentionScratch& scratch,
                            Matrix<float>& log_sums) const {
  const int64_t n = padded(document.end - document.begin), width = (strip + 1) * 32;
  scratch.weights.resize(n, n);
  for (int64_t r = 0; r < kRows; ++r) {
    const int64_t visible = strip * 32 + r + 1;
    float* row = scratch.scores.row(r);
    const float shift = score_scale() * *std::max_element(row, row + visible);
    const float total = exponentials(row, visible, width, shift);
    const __m512 inverse = _mm512_set1_ps(1.0F / total);
    for (int64_t i = 0; i < width; i += 16)
      amx::store(scratch.weights.row(r) + i, _mm512_mul_ps(_mm512_loadu_ps(row + i), inverse));
    const int64_t t = document.begin + visible - 1;
    if (t < document.end) log_sums.row(t)[head] = shift + std::log(total);
  }
}

void Attention::mix_strip(int64_t head, int64_t strip, Document document, const Bf16* values, AttentionScratch& scratch,
                          Matrix<Bf16>& attended) const {
  const int64_t n = padded(document.end - document.begin), first = document.begin + strip * 32;
  alignas(64) float out[kRows * 256];
  amx::multiply(amx::Rows{scratch.weights.row(0), n}, values, n / 32, Range{0, head_dim_ / 32}, Range{0, strip + 1},
                [&](int64_t column, const float* block) { write(block, out + column, head_dim_); });
  for (int64_t r = 0; r < kRows && first + r < document.end; ++r)
    to_bf16(out + r * head_dim_, attended.row(first + r) + head * head_dim_, head_dim_);
}

void Attention::gradient(const Matrix<Bf16>& qkv, const Matrix<float>& log_sums, const Matrix<Bf16>& d_attended,
                         Document document, AttentionScratch& scratch, Matrix<float>& d_qkv) const {
  const int64_t n = padded(document.end - document.begin), repeat = heads_ / kv_heads_;
  for (int64_t group = 0; group < kv_heads_; ++group) {
    load_keys_and_values(qkv, group, document, scratch);
    scratch.k_gradient.resize(n, head_dim_);
    scratch.v_gradient.resize(n, head_dim_);
    std::fill_n(scratch.k_gradient.row(0), n * head_dim_, 0.0F);
    std::fill_n(scratch.v_gradient.row(0), n * head_dim_, 0.0F);
    for (int64_t head = group * repeat; head < (group + 1) * repeat; ++head) {
      copy_head(qkv.row(0) + head * head_dim_, width_, document, scratch.q);
      copy_head(d_attended.row(0) + head * head_dim_, heads_ * head_dim_, document, scratch.out_gradient);
      head_gradient(head, log_sums, document, scratch, d_qkv);
    }
    for (int64_t t = document.begin; t < document.end; ++t) {
      const auto bytes = static_cast<size_t>(head_dim_) * sizeof(float);
      float* row = d_qkv.row(t);
      std::memcpy(row + (heads_ + group) * head_dim_, scratch.k_gradient.row(t - document.begin), bytes);
      std::memcpy(row + (heads_ + kv_heads_ + group) * head_dim_, scratch.v_gradient.row(t - document.begin), bytes);
    }
  }
}

// The queries' part of d_qkv; the keys' and values' parts are added up over the heads that share them.
void Attention::head_gradient(int64_t head, const Matrix<float>& log_sums, Document document, AttentionScratch& scratch,
                              Matrix<float>& d_qkv) const {
  const int64_t n = padded(document.end - document.begin);
  scratch.weights.resize(n, n);
  scratch.weight_gradient.resize(n, n);
  const Bf16* keys = pack_over_dims(scratch.k, n, scratch.keys);
  const Bf16* values = pack_over_dims(scratch.v, n, scratch.values);
  const Bf16* keys_by_token = pack_over_tokens(scratch.k, n, scratch.pack_b);
  for (int64_t strip = 0; strip < n / 32; ++strip) {
    scores_of(scratch.q, keys, strip, n, scratch.scores);
    scores_of(scratch.out_gradient, values, strip, n, scratch.score_gradient);
    const int64_t first = document.begin + strip * 32, rows = std::min<int64_t>(kRows, document.end - first);
    for (int64_t r = 0; r < rows; ++r) row_gradient(strip * 32 + r, log_sums.row(first + r)[head], scratch);
    for (int64_t r = rows; r < kRows; ++r) {  // past the document's end
      std::fill_n(scratch.weights.row(strip * 32 + r), (strip + 1) * 32, Bf16{0});
      std::fill_n(scratch.weight_gradient.row(strip * 32 + r), (strip + 1) * 32, Bf16{0});
    }
    amx::multiply(amx::Rows{scratch.weight_gradient.row(strip * 32), n}, keys_by_token, n / 32,
                  Range{0, head_dim_ / 32}, Range{0, strip + 1}, [&](int64_t column, const float* block) {
                    for (int64_t r = 0; r < rows; ++r)
                      std::memcpy(d_qkv.row(first + r) + head * head_dim_ + column, block + r * 32, 128);
                  });
  }
  add_transposed(scratch.weight_gradient, scratch.q, n, scratch, scratch.k_gradient);
  add_transposed(scratch.weights, scratch.out_gradient, n, scratch, scratch.v_gradient);
}

// Row i of the softmax's weights p and of the gradient of the scores, p (dp - sum(p dp)) scale.
void Attention::row_gradient(int64_t i, float log_sum, AttentionScratch& scratch) const {
  const int64_t width = (i / 32 + 1) * 32;
  float* p = scratch.scores.row(i % 32);
  const float* dp = scratch.score_gradient.row(i % 32);
  exponentials(p, i + 1, width, log_sum);
  __m512 dot = _mm512_setzero_ps();
  for (int64_t j = 0; j < width; j += 16) dot = _mm512_fmadd_ps(_mm512_loadu_ps(p + j), _mm512_loadu_ps(dp + j), dot);
  const __m512 mean = _mm512_set1_ps(sum(dot)), scale = _mm512_set1_ps(score_scale());
  for (int64_t j = 0; j < width; j += 16) {
    const __m512 weight = _mm512_loadu_ps(p + j);
    amx::store(scratch.weights.row(i) + j, weight);
    const __m512 inner = _mm512_mul_ps(_mm512_sub_ps(_mm512_loadu_ps(dp + j), mean), scale);
    amx::store(scratch.weight_gradient.row(i) + j, _mm512_mul_ps(weight, inner));
  }
}

// out [n, head_dim] += m^T x, with m [n, n] given in its lower blocks.
void Attention::add_transposed(const Matrix<Bf16>& m, const Matrix<Bf16>& x, int64_t n, AttentionScratch& scratch,
                               Matrix<float>& out) const {
  const int64_t k_blocks = n / 32;
  Bf16* left = reserve(scratch.pack_a, n * n);
  for (int64_t k = 0; k < k_blocks; ++k)
    for (int64_t i = 0; i < 2 * (k + 1); ++i) amx::pack_left_transposed(m.values.data(), n, k_blocks, k, i, left);
  const Bf16* right = pack_over_tokens(x, n, scratch.pack_b);
  for (int64_t strip = 0; strip < k_blocks; ++strip) {
    amx::multiply(amx::Tiles{left + strip * 2 * k_blocks * amx::kTile, k_blocks}, right, k_blocks,
                  Range{0, head_dim_ / 32}, Range{strip, k_blocks},
                  [&](int64_t column, const float* block) { add(block, out.row(strip * 32) + column, head_dim_); });
  }
}

}  // namespace cove::trainer::direct
