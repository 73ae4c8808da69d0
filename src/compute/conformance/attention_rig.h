#pragma once
// Sequences over a paged cache and how to run rope and attention on them. No tests: other tests of backends may include
// it too.

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "compute/conformance/fixture.h"
#include "tensor/formats/float16.h"

namespace cove::conformance {

struct AttentionCase {
  int64_t heads = 4;
  int64_t kv_heads = 2;
  int64_t head_dim = 64;
  DType cache = DType::kF32;
  bool qk_norm = false;
  bool interleaved = false;
  int64_t page_tokens = 16;

  int64_t width() const { return (heads + 2 * kv_heads) * head_dim; }
  std::string name() const {
    return std::to_string(heads) + "/" + std::to_string(kv_heads) + " heads of " + std::to_string(head_dim) + " " +
           std::string(dtype_info(cache).name) + (qk_norm ? " qk_norm" : "") + (interleaved ? " interleaved" : "") +
           " pages of " + std::to_string(page_tokens);
  }
};

// The new tokens of a step: for each sequence (by index) how many.
struct StepPart {
  int sequence = 0;
  int32_t tokens = 0;
};

// Sequences that grow step by step over shuffled pages; keeps the arrays of the current StepBatch.
class SequenceBook {
 public:
  static constexpr int32_t kPages = 96;

  explicit SequenceBook(int64_t page_tokens) : page_tokens_(static_cast<int32_t>(page_tokens)), free_(kPages) {
    std::iota(free_.begin(), free_.end(), 0);
    std::shuffle(free_.begin(), free_.end(), std::mt19937(5));
  }

  StepBatch next(const std::vector<StepPart>& parts) {
    tokens_.clear(), positions_.clear(), slots_.clear(), slices_.clear(), table_.clear();
    for (const StepPart& part : parts) {
      lengths_.resize(std::max<size_t>(lengths_.size(), static_cast<size_t>(part.sequence) + 1));
      pages_.resize(lengths_.size());
      int32_t& length = lengths_[static_cast<size_t>(part.sequence)];
      std::vector<int32_t>& pages = pages_[static_cast<size_t>(part.sequence)];
      slices_.push_back({.token_begin = static_cast<int32_t>(tokens_.size()),
                         .token_count = part.tokens,
                         .kv_length = length + part.tokens,
                         .page_begin = static_cast<int32_t>(table_.size())});
      for (int32_t i = 0; i < part.tokens; ++i, ++length) {
        if (length % page_tokens_ == 0) {
          pages.push_back(free_.back());
          free_.pop_back();
        }
        tokens_.push_back(0);
        positions_.push_back(length);
        slots_.push_back(pages.back() * page_tokens_ + length % page_tokens_);
      }
      table_.insert(table_.end(), pages.begin(), pages.end());
    }
    return {.tokens = tokens_, .positions = positions_, .slots = slots_, .sequences = slices_, .page_table = table_};
  }

 private:
  int32_t page_tokens_;
  std::vector<int32_t> free_;
  std::vector<int32_t> lengths_;
  std::vector<std::vector<int32_t>> pages_;
  std::vector<int32_t> tokens_, positions_, slots_, table_;
  std::vector<SequenceSlice> slices_;
};

// Rows of q, k and v. An e4m3 cache rounds what bf16 holds: of values that bf16 holds, backends with activations in f32
// and in bf16 make the same codes (of keys, but for angles' last bits).
inline std::vector<float> attention_values(const AttentionCase& c, int64_t tokens, uint32_t seed) {
  std::vector<float> values = random_values(tokens * c.width(), seed);
  if (c.cache != DType::kE4M3) return values;
  for (float& value : values) value = bf16_to_f32(f32_to_bf16(value));
  return values;
}

// A cache and its constants in one backend.
class AttentionRig {
 public:
  AttentionRig(std::unique_ptr<Backend> backend, const AttentionCase& c) : case_(c), rig_(std::move(backend)) {
    cache_ = make_cache();
    unread_cache_ = make_cache();
    std::vector<float> inv_freq(static_cast<size_t>(c.head_dim / 2));
    for (size_t i = 0; i < inv_freq.size(); ++i) {
      inv_freq[i] = std::pow(10000.0F, -2.0F * static_cast<float>(i) / static_cast<float>(c.head_dim));
    }
    inv_freq_ = rig_.vector(inv_freq);
    q_norm_ = rig_.vector(random_values(c.head_dim, 31));
    k_norm_ = rig_.vector(random_values(c.head_dim, 32));
  }

  struct Output {
    std::vector<float> queries;    // [T, heads * head_dim] after rope
    std::vector<float> attention;  // [T, heads * head_dim]
  };

  Output run(const StepBatch& step, std::span<const float> qkv_values, int64_t layer) {
    const int64_t tokens = step.token_count();
    const TensorView qkv = rig_.upload(tokens, case_.width(), qkv_values);
    const TensorView out = rig_.make(tokens, case_.heads * case_.head_dim);
    Backend& backend = rig_.backend();
    backend.begin_step(step);
    rope_kv(step, qkv, *cache_, layer);
    if (apart_) {
      COVE_CHECK(backend.end_step().has_value());
      backend.begin_step(step);
    }
    backend.attention({.qkv = qkv,
                       .heads = case_.heads,
                       .kv_heads = case_.kv_heads,
                       .head_dim = case_.head_dim,
                       .scale = 1.0F / std::sqrt(static_cast<float>(case_.head_dim)),
                       .step = &step,
                       .cache = cache_.get(),
                       .layer = layer,
                       .out = out});
    COVE_CHECK(backend.end_step().has_value());
    return {.queries = rotated(step, qkv_values, layer), .attention = rig_.download(out)};
  }

  // From now on rope_kv and attention are steps of their own, which no backend can do at once.
  void set_apart() { apart_ = true; }

  Rig& rig() { return rig_; }
  KvCache& cache() { return *cache_; }

 private:
  std::unique_ptr<KvCache> make_cache() {
    Result<std::unique_ptr<KvCache>> cache = rig_.backend().make_kv_cache({.layers = 2,
                                                                           .kv_heads = case_.kv_heads,
                                                                           .head_dim = case_.head_dim,
                                                                           .page_tokens = case_.page_tokens,
                                                                           .dtype = case_.cache},
                                                                          SequenceBook::kPages);
    COVE_CHECK_MSG(cache.has_value(), cache.has_value() ? "" : cache.error().message);
    return std::move(*cache);
  }

  void rope_kv(const StepBatch& step, const TensorView& qkv, KvCache& cache, int64_t layer) {
    rig_.backend().rope_kv({.qkv = qkv,
                            .heads = case_.heads,
                            .kv_heads = case_.kv_heads,
                            .head_dim = case_.head_dim,
                            .q_norm = case_.qk_norm ? q_norm_.get() : nullptr,
                            .k_norm = case_.qk_norm ? k_norm_.get() : nullptr,
                            .inv_freq = inv_freq_.get(),
                            .rope_scale = 1.1F,
                            .interleaved = case_.interleaved,
                            .step = &step,
                            .cache = &cache,
                            .layer = layer});
  }

  // The queries after a step of rope alone: attention leaves them unspecified.
  std::vector<float> rotated(const StepBatch& step, std::span<const float> qkv_values, int64_t layer) {
    const TensorView qkv = rig_.upload(step.token_count(), case_.width(), qkv_values);
    rig_.backend().begin_step(step);
    rope_kv(step, qkv, *unread_cache_, layer);
    COVE_CHECK(rig_.backend().end_step().has_value());
    const std::vector<float> values = rig_.download(qkv);
    std::vector<float> queries;
    for (int64_t t = 0; t < step.token_count(); ++t) {
      const auto row = values.begin() + t * case_.width();
      queries.insert(queries.end(), row, row + case_.heads * case_.head_dim);
    }
    return queries;
  }

  AttentionCase case_;
  bool apart_ = false;
  Rig rig_;
  std::unique_ptr<KvCache> cache_;
  std::unique_ptr<KvCache> unread_cache_;  // as cache_
  ConstantVector inv_freq_, q_norm_, k_norm_;
};

}  // namespace cove::conformance
