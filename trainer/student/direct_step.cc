// Compiled only where the compiler knows AMX; direct_step_stub.cc stands in elsewhere.
#include "student/direct_step.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include <sys/syscall.h>
#include <unistd.h>

#include "student/amx_tiles.h"
#include "student/direct_attention.h"
#include "student/direct_rows.h"

namespace cove::trainer {
namespace {

using amx::Range;
using direct::AttentionScratch;
using direct::Bf16;
using direct::kRows;
using direct::Matrix;
using direct::padded;
using direct::reserve;

// What the backward pass needs of a layer's forward pass.
struct Saved {
  Matrix<float> x, x_middle;          // [T, hidden] residual stream before attention and before the feed-forward
  std::vector<float> scale1, scale2;  // [T] 1 / rms of them
  Matrix<Bf16> normed1, normed2;      // [T, hidden]
  Matrix<Bf16> qkv;                   // [T, heads + 2 kv_heads, head_dim], queries and keys rotated
  Matrix<Bf16> attended;              // [T, heads * head_dim]
  Matrix<float> log_sums;             // [T, heads] of the attention's softmax
  Matrix<Bf16> gate_up, gated;        // [T, 2 ffn], [T, ffn]
};

class Step final : public DirectStep {
 public:
  Step(const DirectShape& shape, const DirectOffsets& offsets)
      : s_(shape),
        o_(offsets),
        qkv_((shape.heads + 2 * shape.kv_heads) * shape.head_dim),
        mixed_(shape.heads * shape.head_dim),
        half_(shape.head_dim / 2),
        attention_(shape.heads, shape.kv_heads, shape.head_dim),
        saved_(static_cast<size_t>(shape.layers)) {
    for (int64_t position = 0; position < shape.context; ++position) {
      for (int64_t i = 0; i < half_; ++i) {
        const double angle =
            static_cast<double>(position) *
            std::pow(shape.rope_theta, -2.0 * static_cast<double>(i) / static_cast<double>(shape.head_dim));
        cos_.push_back(static_cast<float>(std::cos(angle)));
        sin_.push_back(static_cast<float>(std::sin(angle)));
      }
    }
  }

  float run(const Bf16* weights, const TokenBatch& batch, float* gradient) override {
    w_ = weights;
    g_ = gradient;
    batch_ = &batch;
    tokens_ = static_cast<int64_t>(batch.ids.size());
    take_memory();
    embed();
    for (int64_t layer = 0; layer < s_.layers; ++layer) forward_layer(layer);
    const float loss = head();
    for (int64_t layer = s_.layers - 1; layer >= 0; --layer) backward_layer(layer);
    embed_gradient();
    return loss;
  }

 private:
  void take_memory() {
    for (Saved& saved : saved_) {
      saved.x.resize(tokens_, s_.hidden);
      saved.x_middle.resize(tokens_, s_.hidden);
      saved.scale1.resize(static_cast<size_t>(tokens_));
      saved.scale2.resize(static_cast<size_t>(tokens_));
      saved.normed1.resize(tokens_, s_.hidden);
      saved.normed2.resize(tokens_, s_.hidden);
      saved.qkv.resize(tokens_, qkv_);
      saved.attended.resize(tokens_, mixed_);
      saved.log_sums.resize(tokens_, s_.heads);
      saved.gate_up.resize(tokens_, 2 * s_.ffn);
      saved.gated.resize(tokens_, s_.ffn);
    }
    x_.resize(tokens_, s_.hidden);
    dx_.resize(tokens_, s_.hidden);
    dx_bf16_.resize(tokens_, s_.hidden);
    d_hidden_.resize(tokens_, s_.hidden);
    d_gated_.resize(tokens_, s_.ffn);
    d_gate_up_.resize(tokens_, 2 * s_.ffn);
    d_attended_.resize(tokens_, mixed_);
    d_qkv_.resize(tokens_, qkv_);
  }

  // f(first row) for every strip of `rows`, on all threads.
  template <class F>
  static void strips(int64_t rows, F&& f) {
#pragma omp parallel
    {
      amx::configure();
#pragma omp for schedule(dynamic, 2)
      for (int64_t begin = 0; begin < rows; begin += kRows) f(begin);
    }
  }

  // One head of token t; direction -1 turns back.
  void rotate(float* head, int64_t t, float direction) const {
    const int64_t at = static_cast<int64_t>(batch_->positions[static_cast<size_t>(t)]) * half_;
    direct::rotate(head, cos_.data() + at, sin_.data() + at, half_, direction);
  }

  // --- products over all tokens ---

  // Packs f(k block, n tile) for all of them, on all threads.
  template <class F>
  static void pack_all(int64_t k_blocks, int64_t n_tiles, F&& f) {
#pragma omp parallel for schedule(static)
    for (int64_t k = 0; k < k_blocks; ++k)
      for (int64_t n = 0; n < n_tiles; ++n) f(k, n);
  }
  // weight [out, in] for x W^T.
  const Bf16* pack_forward(const Bf16* weight, int64_t out, int64_t in) {
    Bf16* tiles = reserve(right_, out * in);
    pack_all(in / 32, out / 16,
             [&](int64_t k, int64_t n) { amx::pack_right_transposed(weight, in, in / 32, k, n, tiles); });
    return tiles;
  }
  // weight [out, in] for dy W.
  const Bf16* pack_backward(const Bf16* weight, int64_t out, int64_t in) {
    Bf16* tiles = reserve(right_, out * in);
    pack_all(out / 32, in / 16, [&](int64_t k, int64_t n) { amx::pack_right(weight, in, out / 32, k, n, tiles); });
    return tiles;
  }
  // gradient [out, in] = dy^T x over `rows` rows (a multiple of 32).
  void weight_gradient(const Bf16* dy, int64_t out, const Bf16* x, int64_t in, int64_t rows, float* gradient) {
    const int64_t k_blocks = rows / 32;
    Bf16* left = reserve(left_, rows * out);
    Bf16* right = reserve(right_, rows * in);
    pack_all(k_blocks, out / 16,
             [&](int64_t k, int64_t n) { amx::pack_left_transposed(dy, out, k_blocks, k, n, left); });
    pack_all(k_blocks, in / 16, [&](int64_t k, int64_t n) { amx::pack_right(x, in, k_blocks, k, n, right); });
    strips(out, [&](int64_t begin) {
      amx::multiply(amx::Tiles{left + begin / 16 * k_blocks * amx::kTile, k_blocks}, right, k_blocks, Range{0, in / 32},
                    Range{0, k_blocks}, [&](int64_t column, const float* block) {
                      direct::write(block, gradient + begin * in + column, in);
                    });
    });
  }

  // --- forward ---

  void embed() {
#pragma omp parallel for
    for (int64_t t = 0; t < tokens_; ++t) {
      const Bf16* row = w_ + o_.embed + static_cast<int64_t>(batch_->ids[static_cast<size_t>(t)]) * s_.hidden;
      for (int64_t i = 0; i < s_.hidden; i += 16) _mm512_storeu_ps(x_.row(t) + i, amx::load(row + i));
    }
  }

  void forward_layer(int64_t layer) {
    Saved& saved = saved_[static_cast<size_t>(layer)];
    project_qkv(layer, saved);
    documents([&](int64_t begin, int64_t end, AttentionScratch& scratch) {
      attention_.attend(saved.qkv, {begin, end}, scratch, saved.attended, saved.log_sums);
    });
    project_output(layer, saved);
    feed_forward(layer, saved);
  }

  void project_qkv(int64_t layer, Saved& saved) {
    const Bf16* tiles = pack_forward(w_ + o_.qkv_weight + layer * qkv_ * s_.hidden, qkv_, s_.hidden);
    const Bf16* scale = w_ + o_.attn_norm + layer * s_.hidden;
    const Bf16* bias = w_ + o_.qkv_bias + layer * qkv_;
    strips(tokens_, [&](int64_t begin) {
      for (int64_t t = begin; t < begin + kRows; ++t) {
        std::memcpy(saved.x.row(t), x_.row(t), static_cast<size_t>(s_.hidden) * sizeof(float));
        direct::norm(saved.x.row(t), scale, s_.hidden, s_.norm_eps, saved.normed1.row(t),
                     &saved.scale1[static_cast<size_t>(t)]);
      }
      std::vector<float> projected(static_cast<size_t>(kRows * qkv_));
      amx::multiply(amx::Rows{saved.normed1.row(begin), s_.hidden}, tiles, s_.hidden / 32, Range{0, qkv_ / 32},
                    Range{0, s_.hidden / 32},
                    [&](int64_t column, const float* block) { direct::write(block, projected.data() + column, qkv_); });
      for (int64_t t = begin; t < begin + kRows; ++t) {
        float* row = projected.data() + (t - begin) * qkv_;
        for (int64_t i = 0; i < qkv_; i += 16)
          _mm512_storeu_ps(row + i, _mm512_add_ps(_mm512_loadu_ps(row + i), amx::load(bias + i)));
        for (int64_t head = 0; head < s_.heads + s_.kv_heads; ++head) rotate(row + head * s_.head_dim, t, 1.0F);
        direct::to_bf16(row, saved.qkv.row(t), qkv_);
      }
    });
  }

  void project_output(int64_t layer, Saved& saved) {
    const Bf16* tiles = pack_forward(w_ + o_.o_weight + layer * s_.hidden * mixed_, s_.hidden, mixed_);
    strips(tokens_, [&](int64_t begin) {
      amx::multiply(amx::Rows{saved.attended.row(begin), mixed_}, tiles, mixed_ / 32, Range{0, s_.hidden / 32},
                    Range{0, mixed_ / 32},
                    [&](int64_t column, const float* block) { direct::add(block, x_.row(begin) + column, s_.hidden); });
    });
  }

  void feed_forward(int64_t layer, Saved& saved) {
    const Bf16* scale = w_ + o_.ffn_norm + layer * s_.hidden;
    const Bf16* tiles = pack_forward(w_ + o_.gate_up_weight + layer * 2 * s_.ffn * s_.hidden, 2 * s_.ffn, s_.hidden);
    strips(tokens_, [&](int64_t begin) {
      for (int64_t t = begin; t < begin + kRows; ++t) {
        std::memcpy(saved.x_middle.row(t), x_.row(t), static_cast<size_t>(s_.hidden) * sizeof(float));
        direct::norm(saved.x_middle.row(t), scale, s_.hidden, s_.norm_eps, saved.normed2.row(t),
                     &saved.scale2[static_cast<size_t>(t)]);
      }
      amx::multiply(amx::Rows{saved.normed2.row(begin), s_.hidden}, tiles, s_.hidden / 32, Range{0, 2 * s_.ffn / 32},
                    Range{0, s_.hidden / 32}, [&](int64_t column, const float* block) {
                      direct::write(block, saved.gate_up.row(begin) + column, 2 * s_.ffn);
                    });
      for (int64_t t = begin; t < begin + kRows; ++t) direct::swiglu(saved.gate_up.row(t), s_.ffn, saved.gated.row(t));
    });
    const Bf16* down = pack_forward(w_ + o_.down_weight + layer * s_.hidden * s_.ffn, s_.hidden, s_.ffn);
    strips(tokens_, [&](int64_t begin) {
      amx::multiply(amx::Rows{saved.gated.row(begin), s_.ffn}, down, s_.ffn / 32, Range{0, s_.hidden / 32},
                    Range{0, s_.ffn / 32},
                    [&](int64_t column, const float* block) { direct::add(block, x_.row(begin) + column, s_.hidden); });
    });
  }

  // --- attention, one document at a time ---

  // f(first token, end, scratch) for every document, on all threads.
  template <class F>
  void documents(F&& f) {
    const auto count = static_cast<int64_t>(batch_->starts.size()) - 1;
#pragma omp parallel
    {
      amx::configure();
      AttentionScratch scratch;
#pragma omp for schedule(dynamic, 1)
      for (int64_t d = 0; d < count; ++d) {
        f(batch_->starts[static_cast<size_t>(d)], batch_->starts[static_cast<size_t>(d) + 1], scratch);
      }
    }
  }

  // --- logits, loss, and what flows back from them ---

  // Leaves dx_ holding the gradient of the last layer's output.
  float head() {
    const auto rows = static_cast<int64_t>(batch_->rows.size());
    const int64_t n = padded(rows);
    normed_rows_.resize(n, s_.hidden);
    row_scales_.resize(static_cast<size_t>(n));
    d_logits_.resize(n, s_.vocab);
    const Bf16* tiles = pack_forward(w_ + o_.embed, s_.vocab, s_.hidden);
    double loss = 0;
#pragma omp parallel reduction(+ : loss)
    {
      amx::configure();
      Matrix<float> logits;
      logits.resize(kRows, s_.vocab);
#pragma omp for schedule(dynamic, 1)
      for (int64_t begin = 0; begin < n; begin += kRows) loss += head_strip(begin, rows, tiles, logits);
    }
    head_gradient_rows(rows, n);
    return static_cast<float>(loss / static_cast<double>(rows));
  }

  double head_strip(int64_t begin, int64_t rows, const Bf16* tiles, Matrix<float>& logits) {
    for (int64_t r = begin; r < begin + kRows; ++r) {
      if (r < rows) {
        direct::norm(x_.row(batch_->rows[static_cast<size_t>(r)]), w_ + o_.final_norm, s_.hidden, s_.norm_eps,
                     normed_rows_.row(r), &row_scales_[static_cast<size_t>(r)]);
      } else {
        std::fill_n(normed_rows_.row(r), s_.hidden, Bf16{0});
      }
    }
    amx::multiply(amx::Rows{normed_rows_.row(begin), s_.hidden}, tiles, s_.hidden / 32, Range{0, s_.vocab / 32},
                  Range{0, s_.hidden / 32},
                  [&](int64_t column, const float* block) { direct::write(block, logits.row(0) + column, s_.vocab); });
    double loss = 0;
    for (int64_t r = begin; r < begin + kRows; ++r) {
      if (r < rows) {
        loss += cross_entropy(logits.row(r - begin), batch_->targets[static_cast<size_t>(r)], rows, d_logits_.row(r));
      } else {
        std::fill_n(d_logits_.row(r), s_.vocab, Bf16{0});
      }
    }
    return loss;
  }

  // -ln softmax(logits)[target]; d_logits = (softmax - one-hot) / rows.
  double cross_entropy(float* logits, int64_t target, int64_t rows, Bf16* d_logits) const {
    __m512 top = _mm512_set1_ps(-INFINITY);
    for (int64_t i = 0; i < s_.vocab; i += 16) top = _mm512_max_ps(top, _mm512_loadu_ps(logits + i));
    const float largest = _mm512_reduce_max_ps(top);
    const double wanted = static_cast<double>(logits[target]);
    __m512 total = _mm512_setzero_ps();
    for (int64_t i = 0; i < s_.vocab; i += 16) {
      const __m512 e = amx::exp(_mm512_sub_ps(_mm512_loadu_ps(logits + i), _mm512_set1_ps(largest)));
      _mm512_storeu_ps(logits + i, e);
      total = _mm512_add_ps(total, e);
    }
    const float all = direct::sum(total), share = 1.0F / static_cast<float>(rows);
    logits[target] -= all;
    const __m512 factor = _mm512_set1_ps(share / all);
    for (int64_t i = 0; i < s_.vocab; i += 16)
      amx::store(d_logits + i, _mm512_mul_ps(_mm512_loadu_ps(logits + i), factor));
    return static_cast<double>(largest) + std::log(static_cast<double>(all)) - wanted;
  }

  void head_gradient_rows(int64_t rows, int64_t n) {
    const Bf16* tiles = pack_backward(w_ + o_.embed, s_.vocab, s_.hidden);
    std::fill_n(dx_.row(0), tokens_ * s_.hidden, 0.0F);
    d_rows_.resize(n, s_.hidden);
    strips(n, [&](int64_t begin) {
      amx::multiply(amx::Rows{d_logits_.row(begin), s_.vocab}, tiles, s_.vocab / 32, Range{0, s_.hidden / 32},
                    Range{0, s_.vocab / 32}, [&](int64_t column, const float* block) {
                      direct::write(block, d_rows_.row(begin) + column, s_.hidden);
                    });
    });
    float* norm_out = g_ + o_.final_norm;
    std::fill_n(norm_out, s_.hidden, 0.0F);
    for (int64_t r = 0; r < rows; ++r) {
      const int64_t t = batch_->rows[static_cast<size_t>(r)];
      direct::norm_gradient(d_rows_.row(r), x_.row(t), row_scales_[static_cast<size_t>(r)], w_ + o_.final_norm,
                            s_.hidden, dx_.row(t), norm_out);
    }
    weight_gradient(d_logits_.row(0), s_.vocab, normed_rows_.row(0), s_.hidden, n, g_ + o_.embed);
  }

  // --- backward ---

  void backward_layer(int64_t layer) {
    const Saved& saved = saved_[static_cast<size_t>(layer)];
    feed_forward_gradient(layer, saved);
    output_gradient(layer, saved);
    documents([&](int64_t begin, int64_t end, AttentionScratch& scratch) {
      attention_.gradient(saved.qkv, saved.log_sums, d_attended_, {begin, end}, scratch, d_qkv_);
    });
    qkv_gradient(layer, saved);
  }

  // Rows of d_hidden_ through the norm onto dx_, on all threads; the norm's own gradient goes to `out`.
  void norm_gradients(const Matrix<float>& x, const std::vector<float>& scales, const Bf16* weight, float* out) {
    std::fill_n(out, s_.hidden, 0.0F);
#pragma omp parallel
    {
      std::vector<float> own(static_cast<size_t>(s_.hidden), 0.0F);
#pragma omp for schedule(static)
      for (int64_t t = 0; t < tokens_; ++t)
        direct::norm_gradient(d_hidden_.row(t), x.row(t), scales[static_cast<size_t>(t)], weight, s_.hidden, dx_.row(t),
                              own.data());
#pragma omp critical
      for (int64_t i = 0; i < s_.hidden; ++i) out[i] += own[static_cast<size_t>(i)];
    }
  }
  void round_dx() {
#pragma omp parallel for schedule(static)
    for (int64_t t = 0; t < tokens_; ++t) direct::to_bf16(dx_.row(t), dx_bf16_.row(t), s_.hidden);
  }

  void feed_forward_gradient(int64_t layer, const Saved& saved) {
    round_dx();
    const Bf16* down = w_ + o_.down_weight + layer * s_.hidden * s_.ffn;
    const Bf16* tiles = pack_backward(down, s_.hidden, s_.ffn);
    strips(tokens_, [&](int64_t begin) {
      amx::multiply(amx::Rows{dx_bf16_.row(begin), s_.hidden}, tiles, s_.hidden / 32, Range{0, s_.ffn / 32},
                    Range{0, s_.hidden / 32}, [&](int64_t column, const float* block) {
                      direct::write(block, d_gated_.row(begin) + column, s_.ffn);
                    });
      for (int64_t t = begin; t < begin + kRows; ++t)
        direct::swiglu_gradient(saved.gate_up.row(t), d_gated_.row(t), s_.ffn, d_gate_up_.row(t));
    });
    weight_gradient(dx_bf16_.row(0), s_.hidden, saved.gated.row(0), s_.ffn, tokens_,
                    g_ + o_.down_weight + layer * s_.hidden * s_.ffn);
    const int64_t gate_up = layer * 2 * s_.ffn * s_.hidden;
    through(d_gate_up_, w_ + o_.gate_up_weight + gate_up, 2 * s_.ffn);
    weight_gradient(d_gate_up_.row(0), 2 * s_.ffn, saved.normed2.row(0), s_.hidden, tokens_,
                    g_ + o_.gate_up_weight + gate_up);
    const int64_t norm_at = o_.ffn_norm + layer * s_.hidden;
    norm_gradients(saved.x_middle, saved.scale2, w_ + norm_at, g_ + norm_at);
  }

  // d_hidden_ = dy W for a weight [out, hidden].
  void through(const Matrix<Bf16>& dy, const Bf16* weight, int64_t out) {
    const Bf16* tiles = pack_backward(weight, out, s_.hidden);
    strips(tokens_, [&](int64_t begin) {
      amx::multiply(
          amx::Rows{dy.row(begin), out}, tiles, out / 32, Range{0, s_.hidden / 32}, Range{0, out / 32},
          [&](int64_t column, const float* block) { direct::write(block, d_hidden_.row(begin) + column, s_.hidden); });
    });
  }

  void output_gradient(int64_t layer, const Saved& saved) {
    round_dx();
    const int64_t at = o_.o_weight + layer * s_.hidden * mixed_;
    const Bf16* tiles = pack_backward(w_ + at, s_.hidden, mixed_);
    strips(tokens_, [&](int64_t begin) {
      amx::multiply(amx::Rows{dx_bf16_.row(begin), s_.hidden}, tiles, s_.hidden / 32, Range{0, mixed_ / 32},
                    Range{0, s_.hidden / 32}, [&](int64_t column, const float* block) {
                      direct::write(block, d_attended_.row(begin) + column, mixed_);
                    });
    });
    weight_gradient(dx_bf16_.row(0), s_.hidden, saved.attended.row(0), mixed_, tokens_, g_ + at);
  }

  void qkv_gradient(int64_t layer, const Saved& saved) {
    d_qkv_bf16_.resize(tokens_, qkv_);
    float* bias = g_ + o_.qkv_bias + layer * qkv_;
    std::fill_n(bias, qkv_, 0.0F);
#pragma omp parallel
    {
      std::vector<float> own(static_cast<size_t>(qkv_), 0.0F);
#pragma omp for schedule(static)
      for (int64_t t = 0; t < tokens_; ++t) {
        float* row = d_qkv_.row(t);
        for (int64_t head = 0; head < s_.heads + s_.kv_heads; ++head) rotate(row + head * s_.head_dim, t, -1.0F);
        direct::to_bf16(row, d_qkv_bf16_.row(t), qkv_);
        for (int64_t i = 0; i < qkv_; i += 16)
          _mm512_storeu_ps(own.data() + i, _mm512_add_ps(_mm512_loadu_ps(own.data() + i), _mm512_loadu_ps(row + i)));
      }
#pragma omp critical
      for (int64_t i = 0; i < qkv_; ++i) bias[i] += own[static_cast<size_t>(i)];
    }
    const int64_t at = o_.qkv_weight + layer * qkv_ * s_.hidden, norm_at = o_.attn_norm + layer * s_.hidden;
    through(d_qkv_bf16_, w_ + at, qkv_);
    weight_gradient(d_qkv_bf16_.row(0), qkv_, saved.normed1.row(0), s_.hidden, tokens_, g_ + at);
    norm_gradients(saved.x, saved.scale1, w_ + norm_at, g_ + norm_at);
  }

  // The embedding is used twice: head_gradient_rows() has written the output's part.
  void embed_gradient() {
    for (int64_t t = 0; t < tokens_; ++t) {
      float* row = g_ + o_.embed + static_cast<int64_t>(batch_->ids[static_cast<size_t>(t)]) * s_.hidden;
      for (int64_t i = 0; i < s_.hidden; i += 16)
        _mm512_storeu_ps(row + i, _mm512_add_ps(_mm512_loadu_ps(row + i), _mm512_loadu_ps(dx_.row(t) + i)));
    }
  }

  const DirectShape s_;
  const DirectOffsets o_;
  const int64_t qkv_, mixed_, half_;  // widths
  const direct::Attention attention_;
  std::vector<float> cos_, sin_;  // [context, head_dim / 2]
  std::vector<Saved> saved_;
  Matrix<float> x_, dx_, d_hidden_, d_qkv_, d_rows_;
  Matrix<Bf16> dx_bf16_, d_gated_, d_gate_up_, d_attended_, d_qkv_bf16_, normed_rows_, d_logits_;
  std::vector<float> row_scales_;
  std::vector<Bf16> left_, right_;  // tiles of the product at hand
  // Of the step at hand.
  const Bf16* w_ = nullptr;
  float* g_ = nullptr;
  const TokenBatch* batch_ = nullptr;
  int64_t tokens_ = 0;
};

}  // namespace

bool DirectStep::available() {
  constexpr int kRequestPermission = 0x1023;  // arch_prctl(ARCH_REQ_XCOMP_PERM)
  constexpr int kTileData = 18;
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx512bf16") > 0 && ::syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

std::shared_ptr<DirectStep> DirectStep::create(const DirectShape& shape, const DirectOffsets& offsets) {
  const bool whole_tiles = shape.hidden % 32 == 0 && shape.ffn % 32 == 0 && shape.head_dim % 32 == 0 &&
                           shape.head_dim <= 256 && shape.vocab % 32 == 0;
  if (!whole_tiles || !available()) return nullptr;
  return std::make_shared<Step>(shape, offsets);
}

}  // namespace cove::trainer
