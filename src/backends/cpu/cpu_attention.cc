#include "backends/cpu/cpu_attention.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace cove::cpu {
namespace {

const float* vector_of(const DeviceBuffer* buffer, int64_t elements) {
  COVE_CHECK(buffer != nullptr && buffer->bytes() == static_cast<size_t>(elements) * sizeof(float));
  return static_cast<const float*>(buffer->data());
}

}  // namespace

AttentionRunner::AttentionRunner(const KernelTable& kernels, ThreadPool& pool) : kernels_(kernels), pool_(pool) {
  blocks_.resize(static_cast<size_t>(pool.threads()));
}

// cos and sin of every token's angles, once a step: all layers share them. The angle is rounded to f32 as transformers
// does.
void AttentionRunner::fill_angles(const RopeKvArgs& args) {
  const AngleKey key = {args.inv_freq, args.rope_scale};
  if (key == angles_are_for_) return;
  angles_are_for_ = key;
  const int64_t half = args.head_dim / 2;
  const float* inv_freq = vector_of(args.inv_freq, half);
  angles_.reserve(static_cast<size_t>(args.step->token_count() * args.head_dim) * sizeof(float));
  pool_.parallel_for(args.step->token_count(), 16, [&](int64_t begin, int64_t end, int) {
    for (int64_t t = begin; t < end; ++t) {
      float* cosine = angles_.as<float>() + t * args.head_dim;
      for (int64_t i = 0; i < half; ++i) {
        const float angle = static_cast<float>(args.step->positions[static_cast<size_t>(t)]) * inv_freq[i];
        cosine[i] = std::cos(angle) * args.rope_scale;
        cosine[half + i] = std::sin(angle) * args.rope_scale;
      }
    }
  });
}

void AttentionRunner::rope_token(const RopeKvArgs& args, int64_t token) {
  const auto& cache = static_cast<const CpuKvCache&>(*args.cache);
  const int64_t dim = args.head_dim;
  float* row = args.qkv.as<float>() + token * (args.heads + 2 * args.kv_heads) * dim;
  const float* cosine = angles_.as<const float>() + token * dim;
  const auto rotate = args.interleaved ? kernels_.rotate_interleaved : kernels_.rotate;
  for (int64_t h = 0; h < args.heads + args.kv_heads; ++h) {
    float* head = row + h * dim;
    const DeviceBuffer* norm = h < args.heads ? args.q_norm : args.k_norm;
    if (norm != nullptr) {
      kernels_.rms_norm({.residual = head,
                         .delta = nullptr,
                         .scale = vector_of(norm, dim),
                         .out = head,
                         .width = dim,
                         .eps = args.norm_eps});
    }
    rotate({.head = head, .cosine = cosine, .sine = cosine + dim / 2, .dim = dim});
  }
  const int64_t slot = args.step->slots[static_cast<size_t>(token)];
  const int64_t page = slot / cache.layout.page_tokens;
  const int64_t in_page = slot % cache.layout.page_tokens;
  COVE_CHECK(slot >= 0 && page < cache.pages);
  for (int64_t h = 0; h < args.kv_heads; ++h) {
    kernels_.cache_write[static_cast<size_t>(cache.format())](
        {.key = row + (args.heads + h) * dim,
         .value = row + (args.heads + args.kv_heads + h) * dim,
         .dim = dim,
         .keys = cache.keys(page, args.layer, h, in_page / kAttentionBlock),
         .values = cache.values(page, args.layer, h, in_page / kAttentionBlock),
         .value_stride = cache.value_stride,
         .position = in_page % kAttentionBlock});
  }
}

void AttentionRunner::rope_kv(const RopeKvArgs& args) {
  COVE_CHECK(args.cache->layout.kv_heads == args.kv_heads && args.cache->layout.head_dim == args.head_dim);
  COVE_CHECK(args.qkv.shape == (Shape{args.step->token_count(), (args.heads + 2 * args.kv_heads) * args.head_dim}));
  fill_angles(args);
  pool_.parallel_for(args.step->token_count(), 4, [&](int64_t begin, int64_t end, int) {
    for (int64_t t = begin; t < end; ++t) rope_token(args, t);
  });
}

void AttentionRunner::list_items(const AttentionArgs& args) {
  const int64_t group = args.heads / args.kv_heads;
  int64_t queries = 0;
  for (const SequenceSlice& sequence : args.step->sequences) queries += sequence.token_count * group * args.kv_heads;
  // Smaller tiles when there are fewer than threads: a key head's queries then share its keys through the cache.
  const int64_t fair = (queries + 2 * pool_.threads() - 1) / (2 * pool_.threads());
  const int64_t per_tile = std::clamp<int64_t>(fair, 1, kQueriesPerTile);
  items_.clear();
  for (size_t s = 0; s < args.step->sequences.size(); ++s) {
    const int64_t sequence_queries = args.step->sequences[s].token_count * group;
    for (int64_t h = 0; h < args.kv_heads; ++h) {
      for (int64_t q = 0; q < sequence_queries; q += per_tile) {
        items_.push_back({.sequence = static_cast<int32_t>(s),
                          .kv_head = static_cast<int32_t>(h),
                          .first_query = static_cast<int32_t>(q),
                          .count = static_cast<int32_t>(std::min(per_tile, sequence_queries - q))});
      }
    }
  }
}

void AttentionRunner::attend(const AttentionArgs& args, const Item& item, int worker) {
  const auto& cache = static_cast<const CpuKvCache&>(*args.cache);
  const SequenceSlice& sequence = args.step->sequences[static_cast<size_t>(item.sequence)];
  const int64_t group = args.heads / args.kv_heads;
  const int64_t dim = args.head_dim;
  const float* queries[kQueriesPerTile];
  float* outputs[kQueriesPerTile];
  int32_t visible[kQueriesPerTile];
  int32_t longest = 0;
  for (int32_t i = 0; i < item.count; ++i) {
    const int64_t token = sequence.token_begin + (item.first_query + i) / group;
    const int64_t head = item.kv_head * group + (item.first_query + i) % group;
    queries[i] = args.qkv.as<const float>() + (token * (args.heads + 2 * args.kv_heads) + head) * dim;
    outputs[i] = args.out.as<float>() + (token * args.heads + head) * dim;
    visible[i] = args.step->positions[static_cast<size_t>(token)] + 1;
    longest = std::max(longest, visible[i]);
  }
  COVE_CHECK(longest <= sequence.kv_length);
  std::vector<const void*>& blocks = blocks_[static_cast<size_t>(worker)];
  const int64_t page_tokens = cache.layout.page_tokens;
  const int64_t count = (longest + kAttentionBlock - 1) / kAttentionBlock;
  for (int64_t b = 0; b < count; ++b) {
    const int64_t position = b * kAttentionBlock;
    const int64_t page = args.step->page_table[static_cast<size_t>(sequence.page_begin + position / page_tokens)];
    const int64_t block = position % page_tokens / kAttentionBlock;
    blocks[static_cast<size_t>(b)] = cache.keys(page, args.layer, item.kv_head, block);
    blocks[static_cast<size_t>(count + b)] = cache.values(page, args.layer, item.kv_head, block);
  }
  kernels_.attention_tile[static_cast<size_t>(cache.format())](
      {.queries = queries,
       .outputs = outputs,
       .visible = visible,
       .count = item.count,
       .keys = blocks.data(),
       .values = blocks.data() + count,
       .dim = dim,
       .value_stride = cache.value_stride,
       .scale = args.scale,
       .scratch = scratch_.as<float>() + worker * scratch_floats_});
}

void AttentionRunner::attention(const AttentionArgs& args) {
  const auto& cache = static_cast<const CpuKvCache&>(*args.cache);
  COVE_CHECK(args.heads % args.kv_heads == 0 && cache.layout.head_dim == args.head_dim);
  COVE_CHECK(args.out.shape == (Shape{args.step->token_count(), args.heads * args.head_dim}));
  int32_t longest = 0;
  for (const SequenceSlice& sequence : args.step->sequences) longest = std::max(longest, sequence.kv_length);
  const size_t pointers = 2 * static_cast<size_t>((longest + kAttentionBlock - 1) / kAttentionBlock);
  for (std::vector<const void*>& blocks : blocks_) {
    if (blocks.size() < pointers) blocks.resize(pointers * 2);
  }
  scratch_floats_ = kQueriesPerTile * (cache.value_stride + kAttentionBlock);
  scratch_.reserve(static_cast<size_t>(pool_.threads() * scratch_floats_) * sizeof(float));
  list_items(args);
  pool_.parallel_for(static_cast<int64_t>(items_.size()), 1, [&](int64_t begin, int64_t end, int worker) {
    for (int64_t i = begin; i < end; ++i) attend(args, items_[static_cast<size_t>(i)], worker);
  });
}

}  // namespace cove::cpu
