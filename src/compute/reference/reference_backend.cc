// The naive fp32 backend: the oracle of the operation contract. One loop nest per operation, sums in double, no
// blocking, no threads, nothing clever; every other backend is compared with it (compute/conformance).
#include <cmath>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include "base/check.h"
#include "compute/backend.h"
#include "compute/reference/reference_tensors.h"

namespace cove {
namespace reference {
namespace {

class ReferenceBackend final : public Backend {
 public:
  DeviceInfo info() const override {
    return {.kind = "reference", .description = "naive fp32 oracle, 1 thread", .memory_total = 0, .memory_free = 0};
  }
  DType activation_dtype() const override { return DType::kF32; }
  Status supports(const OpQuery& query) const override;

  Result<std::unique_ptr<DeviceBuffer>> allocate(size_t bytes) override { return std::make_unique<HostBuffer>(bytes); }
  Result<std::unique_ptr<LinearWeight>> load_linear(const LinearWeightDesc& desc) override;
  Result<std::unique_ptr<RowTable>> load_row_table(const TensorView& table) override;
  Result<ConstantVector> load_vector(std::span<const float> values) override;
  Result<std::unique_ptr<KvCache>> make_kv_cache(const KvLayout& layout, int64_t pages) override;

  void begin_step(const StepBatch&) override {}
  void embed(const EmbedArgs& args) override;
  void rms_norm(const RmsNormArgs& args) override;
  void linear(const LinearArgs& args) override;
  void rope_kv(const RopeKvArgs& args) override;
  void attention(const AttentionArgs& args) override;
  void gather_rows(const GatherRowsArgs& args) override;
  void sample(const SampleArgs& args) override;
  Status end_step() override { return {}; }

  void copy_page(const CopyPageArgs& args) override;
  Status read_back(const TensorView& view, std::span<std::byte> out) override;

 private:
  SampleScratch scratch_;
};

bool is_cache_dtype(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16 || dtype == DType::kE4M3;
}

const float* vector_of(const DeviceBuffer* buffer, int64_t elements) {
  COVE_CHECK(buffer != nullptr && buffer->bytes() == static_cast<size_t>(elements) * sizeof(float));
  return static_cast<const float*>(buffer->data());
}

float* rows_of(const TensorView& view, int64_t rows, int64_t width) {
  COVE_CHECK(view.data != nullptr && view.dtype == DType::kF32);
  COVE_CHECK(view.shape == (Shape{rows, width}));
  return view.as<float>();
}

float silu(float x) { return x / (1.0F + std::exp(-x)); }

Status ReferenceBackend::supports(const OpQuery& query) const {
  if (query.kind == OpKind::kKvCache || query.kind == OpKind::kAttention) {
    if (!is_cache_dtype(query.dtype)) {
      return make_error(ErrorCode::kUnsupported,
                        fmt::format("a key-value cache in {} is not supported by the reference backend",
                                    dtype_info(query.dtype).name));
    }
    return {};
  }
  if (!dtype_info(query.dtype).is_float_like) {
    return make_error(ErrorCode::kUnsupported, fmt::format("weights in {} are not supported by the reference backend",
                                                           dtype_info(query.dtype).name));
  }
  return {};
}

Result<std::unique_ptr<LinearWeight>> ReferenceBackend::load_linear(const LinearWeightDesc& desc) {
  COVE_CHECK(!desc.parts.empty());
  auto linear = std::make_unique<ReferenceLinear>();
  linear->in_features = desc.parts[0].weight.shape[1];
  linear->dtype = desc.parts[0].weight.dtype;
  for (const LinearPart& part : desc.parts) {
    COVE_CHECK_MSG(part.weight.shape.rank == 2 && part.weight.shape[1] == linear->in_features, desc.name);
    TRY(supports({.kind = OpKind::kLinear, .dtype = part.weight.dtype, .in_features = linear->in_features}));
    const std::vector<float> weight = decode_tensor(part.weight);
    std::vector<float> bias(static_cast<size_t>(part.weight.shape[0]), 0.0F);
    if (part.bias) bias = decode_tensor(part.bias);
    COVE_CHECK_MSG(static_cast<int64_t>(bias.size()) == part.weight.shape[0], desc.name);
    linear->weight.insert(linear->weight.end(), weight.begin(), weight.end());
    linear->bias.insert(linear->bias.end(), bias.begin(), bias.end());
    linear->out_features += part.weight.shape[0];
  }
  linear->bytes_read = linear->weight.size() * sizeof(float);
  return linear;
}

Result<std::unique_ptr<RowTable>> ReferenceBackend::load_row_table(const TensorView& table) {
  COVE_CHECK(table.shape.rank == 2);
  TRY(supports({.kind = OpKind::kEmbed, .dtype = table.dtype}));
  auto rows = std::make_unique<ReferenceRowTable>();
  rows->rows = table.shape[0];
  rows->width = table.shape[1];
  rows->values = decode_tensor(table);
  return rows;
}

Result<ConstantVector> ReferenceBackend::load_vector(std::span<const float> values) {
  auto buffer = std::make_unique<HostBuffer>(values.size_bytes());
  if (!values.empty()) std::memcpy(buffer->data(), values.data(), values.size_bytes());
  return buffer;
}

Result<std::unique_ptr<KvCache>> ReferenceBackend::make_kv_cache(const KvLayout& layout, int64_t pages) {
  TRY(supports({.kind = OpKind::kKvCache, .dtype = layout.dtype, .head_dim = layout.head_dim}));
  auto cache = std::make_unique<ReferenceKvCache>();
  cache->layout = layout;
  cache->pages = pages;
  cache->values.resize(static_cast<size_t>(layout.layers * 2 * pages * layout.page_tokens * cache->width()));
  return cache;
}

void ReferenceBackend::embed(const EmbedArgs& args) {
  const auto& table = static_cast<const ReferenceRowTable&>(*args.table);
  float* out = rows_of(args.out, static_cast<int64_t>(args.tokens.size()), table.width);
  for (const int32_t token : args.tokens) {
    COVE_CHECK(token >= 0 && token < table.rows);
    std::memcpy(out, table.values.data() + token * table.width, static_cast<size_t>(table.width) * sizeof(float));
    out += table.width;
  }
}

void ReferenceBackend::rms_norm(const RmsNormArgs& args) {
  const int64_t rows = args.residual.shape[0];
  const int64_t width = args.residual.shape[1];
  const float* scale = vector_of(args.scale, width);
  const float* delta = args.delta ? rows_of(args.delta, rows, width) : nullptr;
  float* residual = rows_of(args.residual, rows, width);
  float* out = rows_of(args.out, rows, width);
  for (int64_t t = 0; t < rows; ++t) {
    double squares = 0;
    for (int64_t i = t * width; i < (t + 1) * width; ++i) {
      if (delta != nullptr) residual[i] += delta[i];
      squares += static_cast<double>(residual[i]) * residual[i];
    }
    const double inverse = 1.0 / std::sqrt(squares / static_cast<double>(width) + args.eps);
    for (int64_t i = 0; i < width; ++i) {
      out[t * width + i] = static_cast<float>(residual[t * width + i] * inverse * scale[i]);
    }
  }
}

void ReferenceBackend::linear(const LinearArgs& args) {
  const auto& linear = static_cast<const ReferenceLinear&>(*args.weight);
  const bool swiglu = args.epilogue == LinearArgs::Epilogue::kSwiGlu;
  const int64_t rows = args.x.shape[0];
  const int64_t out_width = swiglu ? linear.out_features / 2 : linear.out_features;
  const float* x = rows_of(args.x, rows, linear.in_features);
  float* out = rows_of(args.out, rows, out_width);
  const auto dot = [&](int64_t t, int64_t n) {
    double sum = linear.bias[static_cast<size_t>(n)];
    const float* w = linear.weight.data() + n * linear.in_features;
    for (int64_t k = 0; k < linear.in_features; ++k) sum += static_cast<double>(x[t * linear.in_features + k]) * w[k];
    return static_cast<float>(sum);
  };
  for (int64_t t = 0; t < rows; ++t) {
    for (int64_t n = 0; n < out_width; ++n) {
      out[t * out_width + n] = swiglu ? silu(dot(t, n)) * dot(t, out_width + n) : dot(t, n);
    }
  }
}

void normalize_head(float* head, int64_t dim, const float* scale, float eps) {
  double squares = 0;
  for (int64_t i = 0; i < dim; ++i) squares += static_cast<double>(head[i]) * head[i];
  const double inverse = 1.0 / std::sqrt(squares / static_cast<double>(dim) + eps);
  for (int64_t i = 0; i < dim; ++i) head[i] = static_cast<float>(head[i] * inverse * scale[i]);
}

void rotate_head(float* head, int32_t position, const float* inv_freq, const RopeKvArgs& args) {
  const int64_t half = args.head_dim / 2;
  for (int64_t i = 0; i < half; ++i) {
    // The angle is rounded to f32 as in transformers: at position 100 000 that rounding is visible.
    const float angle = static_cast<float>(position) * inv_freq[i];
    const float cosine = std::cos(angle) * args.rope_scale;
    const float sine = std::sin(angle) * args.rope_scale;
    float& a = head[args.interleaved ? 2 * i : i];
    float& b = head[args.interleaved ? 2 * i + 1 : i + half];
    const float first = a;
    a = first * cosine - b * sine;
    b = b * cosine + first * sine;
  }
}

void ReferenceBackend::rope_kv(const RopeKvArgs& args) {
  auto& cache = static_cast<ReferenceKvCache&>(*args.cache);
  const int64_t tokens = args.step->token_count();
  const int64_t q_width = args.heads * args.head_dim;
  const int64_t kv_width = args.kv_heads * args.head_dim;
  COVE_CHECK(cache.layout.kv_heads == args.kv_heads && cache.layout.head_dim == args.head_dim &&
             args.head_dim % 2 == 0);
  float* qkv = rows_of(args.qkv, tokens, q_width + 2 * kv_width);
  const float* inv_freq = vector_of(args.inv_freq, args.head_dim / 2);
  const float* q_norm = args.q_norm != nullptr ? vector_of(args.q_norm, args.head_dim) : nullptr;
  const float* k_norm = args.k_norm != nullptr ? vector_of(args.k_norm, args.head_dim) : nullptr;
  for (int64_t t = 0; t < tokens; ++t) {
    float* row = qkv + t * (q_width + 2 * kv_width);
    const int32_t position = args.step->positions[static_cast<size_t>(t)];
    const int32_t slot = args.step->slots[static_cast<size_t>(t)];
    COVE_CHECK(slot >= 0 && slot < cache.pages * cache.layout.page_tokens);
    for (int64_t h = 0; h < args.heads + args.kv_heads; ++h) {
      float* head = row + h * args.head_dim;
      const float* scale = h < args.heads ? q_norm : k_norm;
      if (scale != nullptr) normalize_head(head, args.head_dim, scale, args.norm_eps);
      rotate_head(head, position, inv_freq, args);
    }
    for (int64_t i = 0; i < kv_width; i += args.head_dim) {
      const DType dtype = cache.layout.dtype;
      const auto dim = static_cast<size_t>(args.head_dim);
      round_head(dtype, {row + q_width + i, dim}, cache.at(args.layer, ReferenceKvCache::kKeys, slot) + i);
      round_head(dtype, {row + q_width + kv_width + i, dim}, cache.at(args.layer, ReferenceKvCache::kValues, slot) + i);
    }
  }
}

// One query head of one token over `slots` (the positions it may see): softmax(q k^T scale) v.
void attend(const AttentionArgs& args, const float* q, int64_t kv_head, std::span<const int64_t> slots, float* out) {
  const auto& cache = static_cast<const ReferenceKvCache&>(*args.cache);
  std::vector<double> scores(slots.size());
  double largest = -INFINITY;
  for (size_t j = 0; j < slots.size(); ++j) {
    const float* k = cache.at(args.layer, ReferenceKvCache::kKeys, slots[j]) + kv_head * args.head_dim;
    for (int64_t i = 0; i < args.head_dim; ++i) scores[j] += static_cast<double>(q[i]) * k[i];
    scores[j] *= args.scale;
    largest = std::max(largest, scores[j]);
  }
  double total = 0;
  std::vector<double> sum(static_cast<size_t>(args.head_dim));
  for (size_t j = 0; j < slots.size(); ++j) {
    const float* v = cache.at(args.layer, ReferenceKvCache::kValues, slots[j]) + kv_head * args.head_dim;
    const double weight = std::exp(scores[j] - largest);
    total += weight;
    for (int64_t i = 0; i < args.head_dim; ++i) sum[static_cast<size_t>(i)] += weight * v[i];
  }
  for (int64_t i = 0; i < args.head_dim; ++i) out[i] = static_cast<float>(sum[static_cast<size_t>(i)] / total);
}

void ReferenceBackend::attention(const AttentionArgs& args) {
  const int64_t tokens = args.step->token_count();
  const int64_t row_width = (args.heads + 2 * args.kv_heads) * args.head_dim;
  const int64_t page_tokens = args.cache->layout.page_tokens;
  const float* qkv = rows_of(args.qkv, tokens, row_width);
  float* out = rows_of(args.out, tokens, args.heads * args.head_dim);
  std::vector<int64_t> slots;
  for (const SequenceSlice& sequence : args.step->sequences) {
    slots.clear();
    for (int64_t p = 0; p < sequence.kv_length; ++p) {
      const int64_t page = args.step->page_table[static_cast<size_t>(sequence.page_begin + p / page_tokens)];
      COVE_CHECK(page >= 0 && page < args.cache->pages);
      slots.push_back(page * page_tokens + p % page_tokens);
    }
    for (int64_t t = sequence.token_begin; t < sequence.token_begin + sequence.token_count; ++t) {
      const auto visible = static_cast<size_t>(args.step->positions[static_cast<size_t>(t)] + 1);
      COVE_CHECK(visible <= slots.size());
      for (int64_t h = 0; h < args.heads; ++h) {
        attend(args, qkv + t * row_width + h * args.head_dim, h * args.kv_heads / args.heads,
               std::span(slots).first(visible), out + (t * args.heads + h) * args.head_dim);
      }
    }
  }
}

void ReferenceBackend::gather_rows(const GatherRowsArgs& args) {
  const int64_t width = args.in.shape[1];
  const float* in = rows_of(args.in, args.in.shape[0], width);
  float* out = rows_of(args.out, static_cast<int64_t>(args.rows.size()), width);
  for (const int32_t row : args.rows) {
    COVE_CHECK(row >= 0 && row < args.in.shape[0]);
    std::memcpy(out, in + row * width, static_cast<size_t>(width) * sizeof(float));
    out += width;
  }
}

void ReferenceBackend::sample(const SampleArgs& args) {
  const int64_t vocab = args.logits.shape[1];
  const float* logits = rows_of(args.logits, static_cast<int64_t>(args.params.size()), vocab);
  COVE_CHECK(args.results.size() == args.params.size());
  for (size_t r = 0; r < args.params.size(); ++r) {
    const std::span row(logits + static_cast<int64_t>(r) * vocab, static_cast<size_t>(vocab));
    args.results[r] = sample_row(row, args.params[r], scratch_);
  }
}

void ReferenceBackend::copy_page(const CopyPageArgs& args) {
  auto& cache = static_cast<ReferenceKvCache&>(*args.cache);
  const int64_t page_tokens = cache.layout.page_tokens;
  COVE_CHECK(args.count >= 0 && args.count <= page_tokens);
  COVE_CHECK(args.from >= 0 && args.from < cache.pages && args.to >= 0 && args.to < cache.pages);
  for (int64_t layer = 0; layer < cache.layout.layers; ++layer) {
    for (const auto side : {ReferenceKvCache::kKeys, ReferenceKvCache::kValues}) {
      std::memcpy(cache.at(layer, side, args.to * page_tokens), cache.at(layer, side, args.from * page_tokens),
                  static_cast<size_t>(args.count * cache.width()) * sizeof(float));
    }
  }
}

Status ReferenceBackend::read_back(const TensorView& view, std::span<std::byte> out) {
  COVE_CHECK(out.size() == static_cast<size_t>(view.bytes()));
  if (!out.empty()) std::memcpy(out.data(), view.data, out.size());
  return {};
}

}  // namespace
}  // namespace reference

std::unique_ptr<Backend> make_reference_backend() { return std::make_unique<reference::ReferenceBackend>(); }

}  // namespace cove
