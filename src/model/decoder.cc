#include "model/decoder.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace cove::model {
namespace {

constexpr size_t kAlignment = 64;  // of every activation: a cache line, and the widest vector

// Widths of the activations, the largest over the layers.
struct Widths {
  int64_t qkv = 0;
  int64_t attended = 0;
  int64_t gated = 0;
};

Widths widest(const ModelSpec& spec) {
  Widths widths;
  for (const LayerSpec& layer : spec.layers) {
    widths.qkv = std::max(widths.qkv, (layer.heads + 2 * layer.kv_heads) * layer.head_dim);
    widths.attended = std::max(widths.attended, layer.heads * layer.head_dim);
    widths.gated = std::max(widths.gated, layer.ffn_dim);
  }
  return widths;
}

// The first `rows` rows of a buffer, seen with `width` columns (layers may differ in width).
TensorView rows_of(const TensorView& buffer, int64_t rows, int64_t width) {
  COVE_CHECK(rows * width <= buffer.shape.elements());
  return {.data = buffer.data, .dtype = buffer.dtype, .shape = {rows, width}};
}
TensorView rows_of(const TensorView& buffer, int64_t rows) { return rows_of(buffer, rows, buffer.shape[1]); }

// Lays tensors one after another; with a null base it only counts.
class Layout {
 public:
  explicit Layout(void* base) : base_(static_cast<std::byte*>(base)) {}

  TensorView place(DType dtype, int64_t rows, int64_t width) {
    TensorView view{.data = base_ == nullptr ? nullptr : base_ + used_, .dtype = dtype, .shape = {rows, width}};
    used_ += (static_cast<size_t>(view.bytes()) + kAlignment - 1) / kAlignment * kAlignment;
    return view;
  }
  size_t used() const { return used_; }

 private:
  std::byte* base_;
  size_t used_ = 0;
};

template <class Workspace>
size_t lay_out(const ModelSpec& spec, DType activation, const DecoderLimits& limits, void* base, Workspace& out) {
  const Widths widths = widest(spec);
  const int64_t tokens = limits.batch_tokens_max;
  const int64_t kept = limits.logit_rows_max;
  Layout layout(base);
  out.residual = layout.place(activation, tokens, spec.hidden);
  out.normed = layout.place(activation, tokens, spec.hidden);
  out.qkv = layout.place(activation, tokens, widths.qkv);
  out.attended = layout.place(activation, tokens, widths.attended);
  out.delta = layout.place(activation, tokens, spec.hidden);
  out.gated = layout.place(activation, tokens, widths.gated);
  out.residual_kept = layout.place(activation, kept, spec.hidden);
  out.attended_kept = layout.place(activation, kept, widths.attended);
  out.logits = layout.place(DType::kF32, kept, spec.vocab);
  return layout.used();
}

}  // namespace

Decoder::Decoder(ModelSpec spec, Backend& backend, const DecoderLimits& limits, DecoderWeights weights)
    : spec_(std::move(spec)), backend_(&backend), limits_(limits), weights_(std::move(weights)) {}

Result<std::unique_ptr<Decoder>> Decoder::load(const ModelSpec& spec, const TensorLookup& tensors, Backend& backend,
                                               const DecoderLimits& limits, const TensorRelease& release) {
  COVE_CHECK(limits.batch_tokens_max > 0 && limits.logit_rows_max > 0);
  TRY(check_supported(spec, tensors, backend));
  TRY_ASSIGN(DecoderWeights weights, load_weights(spec, tensors, backend, release));
  std::unique_ptr<Decoder> decoder(new Decoder(spec, backend, limits, std::move(weights)));
  TRY(decoder->take_workspace());
  return decoder;
}

uint64_t Decoder::workspace_bytes(const ModelSpec& spec, DType activation, const DecoderLimits& limits) {
  Workspace unplaced;
  return lay_out(spec, activation, limits, nullptr, unplaced);
}

KvLayout Decoder::kv_layout(const ModelSpec& spec, int64_t page_tokens, DType dtype) {
  const LayerSpec& layer = spec.layers.front();  // the same for all layers: checked at load
  return {.layers = static_cast<int64_t>(spec.layers.size()),
          .kv_heads = layer.kv_heads,
          .head_dim = layer.head_dim,
          .page_tokens = page_tokens,
          .dtype = dtype};
}

Status Decoder::take_workspace() {
  const size_t bytes = workspace_bytes(spec_, backend_->activation_dtype(), limits_);
  TRY_ASSIGN(workspace_.memory, backend_->allocate(bytes + kAlignment));
  auto* begin = static_cast<std::byte*>(workspace_.memory->data());
  const size_t beyond = reinterpret_cast<uintptr_t>(begin) % kAlignment;
  if (beyond > 0) begin += kAlignment - beyond;
  lay_out(spec_, backend_->activation_dtype(), limits_, begin, workspace_);
  return {};
}

// residual += delta; returns its RMS norm.
TensorView Decoder::normed(TensorView residual, TensorView delta, const DeviceBuffer& scale, TensorView out) {
  backend_->rms_norm({.residual = residual,
                      .delta = delta,
                      .scale = &scale,
                      .eps = static_cast<float>(spec_.norm_eps),
                      .out = out,
                      .is_transient = true});
  return out;
}

// softmax(q k^T / sqrt(d)) v over each sequence's pages; the new keys and values go there first.
TensorView Decoder::attend(const StepBatch& step, KvCache& cache, int64_t layer, TensorView x) {
  const LayerSpec& spec = spec_.layers[static_cast<size_t>(layer)];
  const LayerWeights& weights = weights_.layers[static_cast<size_t>(layer)];
  const int64_t tokens = step.token_count();
  const TensorView qkv = rows_of(workspace_.qkv, tokens, (spec.heads + 2 * spec.kv_heads) * spec.head_dim);
  const TensorView out = rows_of(workspace_.attended, tokens, spec.heads * spec.head_dim);
  backend_->linear({.x = x, .weight = weights.qkv.get(), .out = qkv});
  backend_->rope_kv({.qkv = qkv,
                     .heads = spec.heads,
                     .kv_heads = spec.kv_heads,
                     .head_dim = spec.head_dim,
                     .q_norm = weights.q_norm.get(),
                     .k_norm = weights.k_norm.get(),
                     .norm_eps = static_cast<float>(spec_.norm_eps),
                     .inv_freq = weights.inv_freq.get(),
                     .rope_scale = weights.rope_scale,
                     .interleaved = spec.rope.interleaved,
                     .step = &step,
                     .cache = &cache,
                     .layer = layer});
  backend_->attention({.qkv = qkv,
                       .heads = spec.heads,
                       .kv_heads = spec.kv_heads,
                       .head_dim = spec.head_dim,
                       .scale = 1.0F / std::sqrt(static_cast<float>(spec.head_dim)),
                       .step = &step,
                       .cache = &cache,
                       .layer = layer,
                       .out = out});
  return out;
}

// down(silu(gate(x)) * up(x))
TensorView Decoder::feed_forward(int64_t layer, TensorView x) {
  const LayerSpec& spec = spec_.layers[static_cast<size_t>(layer)];
  const LayerWeights& weights = weights_.layers[static_cast<size_t>(layer)];
  const TensorView gated = rows_of(workspace_.gated, x.shape[0], spec.ffn_dim);
  const TensorView out = rows_of(workspace_.delta, x.shape[0]);
  backend_->linear({.x = x, .weight = weights.gate_up.get(), .epilogue = LinearArgs::Epilogue::kSwiGlu, .out = gated});
  backend_->linear({.x = gated, .weight = weights.down.get(), .out = out});
  return out;
}

// After the last attention only the rows whose logits are wanted go on: of a prompt's chunk, one or none.
// False: none is left.
bool Decoder::keep_logit_rows(const StepBatch& step, TensorView& residual, TensorView& attended) {
  const int64_t kept = step.logit_count();
  COVE_CHECK(kept <= limits_.logit_rows_max);
  if (kept == 0 || kept == step.token_count()) return kept > 0;
  const TensorView residual_kept = rows_of(workspace_.residual_kept, kept);
  const TensorView attended_kept = rows_of(workspace_.attended_kept, kept, attended.shape[1]);
  backend_->gather_rows({.in = residual, .rows = step.logit_rows, .out = residual_kept});
  backend_->gather_rows({.in = attended, .rows = step.logit_rows, .out = attended_kept});
  residual = residual_kept;
  attended = attended_kept;
  return true;
}

TensorView Decoder::forward(const StepBatch& step, KvCache& cache) {
  COVE_CHECK(step.token_count() <= limits_.batch_tokens_max);
  TensorView x = rows_of(workspace_.residual, step.token_count());
  TensorView delta;  // what the residual stream still lacks
  const TensorView logits = rows_of(workspace_.logits, step.logit_count());
  backend_->embed({.table = weights_.embedding.get(), .tokens = step.tokens, .out = x});

  const auto layers = static_cast<int64_t>(spec_.layers.size());
  for (int64_t layer = 0; layer < layers; ++layer) {
    const LayerWeights& weights = weights_.layers[static_cast<size_t>(layer)];
    TensorView h = normed(x, delta, *weights.attention_norm, rows_of(workspace_.normed, x.shape[0]));
    TensorView attended = attend(step, cache, layer, h);
    if (layer + 1 == layers && !keep_logit_rows(step, x, attended)) return logits;
    delta = rows_of(workspace_.delta, x.shape[0]);
    backend_->linear({.x = attended, .weight = weights.output.get(), .out = delta});
    h = normed(x, delta, *weights.ffn_norm, rows_of(workspace_.normed, x.shape[0]));
    delta = feed_forward(layer, h);
  }

  const TensorView h = normed(x, delta, *weights_.final_norm, rows_of(workspace_.normed, x.shape[0]));
  backend_->linear({.x = h, .weight = weights_.lm_head.get(), .out = logits});
  return logits;
}

}  // namespace cove::model
