#pragma once
// Causal grouped-query attention of one document and its gradient, on AMX tiles. Used by direct_step.cc; a thread works
// on one document at a time with a scratch of its own.

#include <cstdint>
#include <vector>

#include "student/direct_rows.h"

namespace cove::trainer::direct {

// One thread's memory for one document of n tokens, padded to a multiple of 32.
struct AttentionScratch {
  Matrix<Bf16> q, k, v, out_gradient;              // [n, head_dim] padded with zeros
  Matrix<float> scores, score_gradient;            // [32, n]
  Matrix<Bf16> weights, weight_gradient;           // [n, n] lower blocks
  std::vector<Bf16> keys, values, pack_a, pack_b;  // tiles
  Matrix<float> k_gradient, v_gradient;            // [n, head_dim]
};

// Tokens [begin, end) of the batch.
struct Document {
  int64_t begin;
  int64_t end;
};

class Attention {
 public:
  // head_dim is a multiple of 32 and at most 256.
  Attention(int64_t heads, int64_t kv_heads, int64_t head_dim)
      : heads_(heads), kv_heads_(kv_heads), head_dim_(head_dim), width_((heads + 2 * kv_heads) * head_dim) {}

  // qkv [T, heads + 2 kv_heads, head_dim], queries and keys rotated, to attended [T, heads * head_dim]; log_sums
  // [T, heads] keeps the logarithm of each softmax's sum for the gradient.
  void attend(const Matrix<Bf16>& qkv, Document document, AttentionScratch& scratch, Matrix<Bf16>& attended,
              Matrix<float>& log_sums) const;
  // d_attended to d_qkv, as qkv; queries and keys still rotated.
  void gradient(const Matrix<Bf16>& qkv, const Matrix<float>& log_sums, const Matrix<Bf16>& d_attended,
                Document document, AttentionScratch& scratch, Matrix<float>& d_qkv) const;

 private:
  void copy_head(const Bf16* column, int64_t ld, Document document, Matrix<Bf16>& out) const;
  void load_keys_and_values(const Matrix<Bf16>& qkv, int64_t group, Document document, AttentionScratch& scratch) const;
  const Bf16* pack_over_dims(const Matrix<Bf16>& x, int64_t n, std::vector<Bf16>& memory) const;
  const Bf16* pack_over_tokens(const Matrix<Bf16>& x, int64_t n, std::vector<Bf16>& memory) const;
  void scores_of(const Matrix<Bf16>& left, const Bf16* tiles, int64_t strip, int64_t n, Matrix<float>& out) const;
  float exponentials(float* row, int64_t visible, int64_t width, float shift) const;
  void weigh_strip(int64_t head, int64_t strip, Document document, AttentionScratch& scratch,
                   Matrix<float>& log_sums) const;
  void mix_strip(int64_t head, int64_t strip, Document document, const Bf16* values, AttentionScratch& scratch,
                 Matrix<Bf16>& attended) const;
  void head_gradient(int64_t head, const Matrix<float>& log_sums, Document document, AttentionScratch& scratch,
                     Matrix<float>& d_qkv) const;
  void row_gradient(int64_t i, float log_sum, AttentionScratch& scratch) const;
  void add_transposed(const Matrix<Bf16>& m, const Matrix<Bf16>& x, int64_t n, AttentionScratch& scratch,
                      Matrix<float>& out) const;
  float score_scale() const;

  const int64_t heads_, kv_heads_, head_dim_;
  const int64_t width_;  // of a row of qkv
};

}  // namespace cove::trainer::direct
