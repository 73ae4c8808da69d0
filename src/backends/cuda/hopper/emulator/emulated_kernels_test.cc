// The kernels of this folder, run by the emulator on small shapes and compared with plain loops: their index
// arithmetic, the protocol of their barriers, split tiles, masks and edges. What only the GPU can show is in
// tests/gpu/hopper_check.
#define COVE_HOPPER_EMULATED

#include <cmath>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "backends/cuda/hopper/emulator/product_testing.h"
#include "backends/cuda/hopper/gemm_stream.cuh"
#include "backends/cuda/hopper/gemm_tiles.cuh"
#include "backends/cuda/hopper/plan/gemm_plan.h"
#include "backends/cuda/hopper/prefill_attention.cuh"
#include "base/testing.h"

namespace cove::cuda::hopper {
namespace {

template <class Format>
struct Element;
template <>
struct Element<Bf16> {
  using Bits = uint16_t;
  static Bits round(float value) { return f32_to_bf16(value); }
  static double value(Bits bits) { return static_cast<double>(bf16_to_f32(bits)); }
};
template <>
struct Element<E4m3> {
  using Bits = uint8_t;
  // The nearest of the 127 magnitudes.
  static Bits round(float value) {
    int best = 0;
    for (int i = 1; i < 127; ++i) {
      const float at = emulated::e4m3_value(static_cast<uint8_t>(i));
      if (std::abs(at - std::abs(value)) <
          std::abs(emulated::e4m3_value(static_cast<uint8_t>(best)) - std::abs(value))) {
        best = i;
      }
    }
    return static_cast<Bits>(value < 0 ? best + 128 : best);
  }
  static double value(Bits bits) { return static_cast<double>(emulated::e4m3_value(bits)); }
};
template <>
struct Element<Int8> {
  using Bits = uint8_t;
  static Bits round(float value) { return static_cast<Bits>(static_cast<int8_t>(std::lround(value * 20.0F))); }
  static double value(Bits bits) { return static_cast<double>(static_cast<int8_t>(bits)); }
};

// Rows of elements with 0xFF between and behind them (NaN, but for int8), as the contract allows for x.
template <class Format>
class Matrix {
 public:
  using Bits = typename Element<Format>::Bits;
  Matrix(int64_t rows, int64_t columns, std::mt19937& random)
      : rows_(rows), columns_(columns), pitch_((columns * static_cast<int64_t>(sizeof(Bits)) + 15) / 16 * 16 + 16) {
    memory_.assign(static_cast<size_t>(rows * pitch_), std::byte{0xFF});
    std::normal_distribution<float> normal;
    std::vector<float> drawn(257);
    for (float& value : drawn) value = normal(random);
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t c = 0; c < columns; ++c) {
        const Bits bits = Element<Format>::round(drawn[random() % drawn.size()]);
        std::memcpy(at(r, c), &bits, sizeof bits);
      }
    }
  }
  double value(int64_t row, int64_t column) const {
    Bits bits;
    std::memcpy(&bits, const_cast<Matrix*>(this)->at(row, column), sizeof bits);
    return Element<Format>::value(bits);
  }
  TensorMap map(int64_t box_rows) {
    return {memory_.data(), rows_, columns_, pitch_, static_cast<int64_t>(sizeof(Bits)), box_rows};
  }

 private:
  std::byte* at(int64_t row, int64_t column) {
    return memory_.data() + row * pitch_ + column * static_cast<int64_t>(sizeof(Bits));
  }
  int64_t rows_;
  int64_t columns_;
  int64_t pitch_;
  std::vector<std::byte> memory_;
};

template <class Format>
class Product {
 public:
  Product(const ProductCase& shape, uint64_t seed)
      : shape_(shape),
        random_(seed),
        x_(shape.rows, shape.in, random_),
        w_(shape.weight_rows(), shape.in, random_),
        output_(shape) {
    std::uniform_real_distribution<float> uniform(0.5F, 1.5F);
    for (std::vector<float>* scales : {&row_scale_, &channel_scale_, &bias_}) {
      scales->resize(static_cast<size_t>(scales == &row_scale_ ? shape.rows : shape.weight_rows()));
      for (float& value : *scales) value = uniform(random_) / 8.0F;
    }
  }

  OutputParams output() {
    OutputParams params = output_.params(bias_);
    if (Format::kScaled) {
      params.row_scale = row_scale_.data();
      params.channel_scale = channel_scale_.data();
    }
    return params;
  }
  PartialSums partial() { return output_.partial(); }
  TensorMap x_map(int64_t box_rows) { return x_.map(box_rows); }
  TensorMap w_map() { return w_.map(kTileRows); }
  TensorMap out_map() { return output_.map(64); }

  void check() const {
    output_.check([this](int64_t row, int64_t weight_row) { return sum(row, weight_row); },
                  shape_.out_f32 ? 1e-5 : 4e-3, 0.02);
  }

 private:
  double sum(int64_t row, int64_t weight_row) const {
    double total = 0.0;
    for (int64_t k = 0; k < shape_.in; ++k) total += x_.value(row, k) * w_.value(weight_row, k);
    const auto n = static_cast<size_t>(weight_row);
    if (Format::kScaled)
      total *= static_cast<double>(row_scale_[static_cast<size_t>(row)]) * static_cast<double>(channel_scale_[n]);
    return shape_.bias ? total + static_cast<double>(bias_[n]) : total;
  }

  ProductCase shape_;
  std::mt19937 random_;
  Matrix<Format> x_, w_;
  std::vector<float> row_scale_, channel_scale_, bias_;
  ProductOutput output_;
};

struct Split {
  int32_t clusters = 2;
  int32_t full_tiles = 0;
  int32_t parts = 1;
};

template <class Format, int kBlockN, int kCluster>
void check_tiles(const ProductCase& shape, const Split& split, uint64_t seed) {
  SCOPED_TRACE(std::to_string(shape.rows) + " x " + std::to_string(shape.outputs) + " x " + std::to_string(shape.in));
  Product<Format> product(shape, seed);
  TileParams params;
  params.schedule.tiles_m = static_cast<int32_t>((shape.rows + kTileRows * kCluster - 1) / (kTileRows * kCluster));
  params.schedule.tiles_n = static_cast<int32_t>((shape.weight_rows() + kBlockN - 1) / kBlockN);
  params.schedule.k_blocks = static_cast<int32_t>((shape.in + Format::kBlockK - 1) / Format::kBlockK);
  params.schedule.full_tiles = split.parts > 1 ? split.full_tiles : params.schedule.tiles();
  params.schedule.split = split.parts;
  params.output = product.output();
  params.partial = product.partial();
  const TensorMap x_map = product.x_map(kTileRows);
  const TensorMap w_map = product.w_map();
  const TensorMap out_map = product.out_map();
  emulated::Machine::get().run(static_cast<uint32_t>(split.clusters * kCluster), kCluster, kBlockThreads,
                               TileShape<kBlockN, kCluster>::kSharedBytes,
                               [&] { gemm_tiles_kernel<Format, kBlockN, kCluster>(x_map, w_map, out_map, params); });
  product.check();
}

TEST(HopperEmulated, pairs_of_blocks_multiply_ragged_matrices) {
  COVE_SKIP_COROUTINES();
  check_tiles<Bf16, 256, 2>({.rows = 270, .outputs = 200, .in = 200, .bias = true}, {.clusters = 2}, 1);
  check_tiles<Bf16, 256, 2>({.rows = 130, .outputs = 528, .in = 200, .swiglu = true},
                            {.clusters = 2, .full_tiles = 1, .parts = 3}, 2);
  check_tiles<E4m3, 256, 2>({.rows = 200, .outputs = 272, .in = 264, .bias = true},
                            {.clusters = 1, .full_tiles = 1, .parts = 2}, 3);
}

TEST(HopperEmulated, single_blocks_multiply_ragged_matrices) {
  COVE_SKIP_COROUTINES();
  check_tiles<Bf16, 256, 1>({.rows = 70, .outputs = 600, .in = 136, .swiglu = true}, {.clusters = 3}, 4);
  check_tiles<Bf16, 128, 1>({.rows = 150, .outputs = 203, .in = 72, .out_f32 = true, .bias = true}, {.clusters = 2}, 5);
  check_tiles<Bf16, 128, 1>({.rows = 64, .outputs = 400, .in = 264, .swiglu = true},
                            {.clusters = 3, .full_tiles = 2, .parts = 4}, 6);
  check_tiles<E4m3, 128, 1>({.rows = 140, .outputs = 160, .in = 392, .swiglu = true, .bias = true}, {.clusters = 3}, 7);
  check_tiles<Int8, 256, 1>({.rows = 33, .outputs = 300, .in = 264, .out_f32 = true},
                            {.clusters = 2, .full_tiles = 0, .parts = 2}, 8);
  check_tiles<Int8, 128, 1>({.rows = 129, .outputs = 136, .in = 264, .bias = true}, {.clusters = 2}, 9);
}

TEST(HopperEmulated, sums_of_e4m3_leave_the_tensor_cores_in_intervals) {
  COVE_SKIP_COROUTINES();
  // 12 and 9 blocks of K: both warpgroups take their sums out several times.
  check_tiles<E4m3, 256, 1>({.rows = 70, .outputs = 144, .in = 1500, .out_f32 = true, .bias = true}, {.clusters = 1},
                            51);
  check_tiles<E4m3, 128, 1>({.rows = 128, .outputs = 256, .in = 1096, .out_f32 = true},
                            {.clusters = 2, .full_tiles = 1, .parts = 2}, 52);
}

TEST(KeptSums, nothing_is_lost_beside_f32) {
  std::mt19937 random(3);
  std::normal_distribution<float> normal(0.3F);
  KeptSums<8> kept;
  kept.set_zero();
  float sums[8] = {};
  double wanted[8] = {};
  for (int interval = 0; interval < 40; ++interval) {
    for (int i = 0; i < 8; ++i) {
      const float more = normal(random) * (i < 4 ? 1.0F : 1e-20F);
      sums[i] += more;
      wanted[i] += static_cast<double>(more);
    }
    kept.take(sums);
    for (int i = 0; i < 8; ++i) {
      EXPECT_LE(std::abs(static_cast<double>(sums[i])), std::abs(wanted[i]) / 120) << "what stays in the sums is small";
    }
  }
  kept.add_to(sums);
  for (int i = 0; i < 8; ++i) EXPECT_NEAR(static_cast<double>(sums[i]) / wanted[i], 1.0, 1e-5);
}

// cluster_parts > 1: a cluster for each tile, of so many workers; otherwise `workers` stretches.
struct Stretches {
  int32_t workers = 1;
  int32_t cluster_parts = 1;
};

template <class Format, int kTokens, int kShare>
void check_stream(const ProductCase& shape, const Stretches& stretches, uint64_t seed) {
  SCOPED_TRACE(std::to_string(shape.rows) + " x " + std::to_string(shape.outputs) + " x " + std::to_string(shape.in));
  Product<Format> product(shape, seed);
  const int32_t parts = stretches.cluster_parts;
  StreamParams params;
  params.schedule.tiles = static_cast<int32_t>((shape.weight_rows() + kShare * kTileRows - 1) / (kShare * kTileRows));
  params.schedule.k_blocks = static_cast<int32_t>((shape.in + Format::kBlockK - 1) / Format::kBlockK);
  params.schedule.workers = parts > 1 ? params.schedule.tiles * parts : stretches.workers;
  params.cluster_parts = parts;
  params.output = product.output();
  params.partial = product.partial();
  const TensorMap x_map = product.x_map(kTokens / kShare);
  const TensorMap w_map = product.w_map();
  emulated::Machine::get().run(static_cast<uint32_t>(params.schedule.workers * kShare),
                               static_cast<uint32_t>(kShare * parts), kBlockThreads, StreamShape<kTokens>::kSharedBytes,
                               [&] { gemm_stream_kernel<Format, kTokens, kShare>(x_map, w_map, params); });
  product.check();
}

TEST(HopperEmulated, few_tokens_against_weights_in_equal_stretches) {
  COVE_SKIP_COROUTINES();
  check_stream<Bf16, 16, 1>({.rows = 9, .outputs = 200, .in = 1000, .bias = true}, {5}, 11);
  check_stream<Bf16, 32, 1>({.rows = 32, .outputs = 528, .in = 264, .swiglu = true, .bias = true}, {3}, 12);
  check_stream<Bf16, 64, 1>({.rows = 47, .outputs = 131, .in = 136, .out_f32 = true}, {2}, 13);
  check_stream<Bf16, 128, 1>({.rows = 100, .outputs = 257, .in = 328}, {7}, 14);
  check_stream<Bf16, 16, 1>({.rows = 16, .outputs = 128, .in = 1800}, {6}, 15);  // more blocks of K than stages
  check_stream<E4m3, 16, 1>({.rows = 12, .outputs = 300, .in = 520, .swiglu = false, .bias = true}, {4}, 16);
  check_stream<E4m3, 64, 1>({.rows = 64, .outputs = 144, .in = 264, .swiglu = true}, {3}, 17);
  check_stream<Int8, 32, 1>({.rows = 20, .outputs = 272, .in = 904, .out_f32 = true, .bias = true}, {5}, 18);
}

TEST(HopperEmulated, pairs_of_blocks_share_few_tokens) {
  COVE_SKIP_COROUTINES();
  check_stream<Bf16, 16, 2>({.rows = 9, .outputs = 200, .in = 1800, .bias = true}, {1}, 31);
  check_stream<Bf16, 64, 2>({.rows = 33, .outputs = 403, .in = 264, .out_f32 = true}, {3}, 32);
  check_stream<Bf16, 128, 2>({.rows = 101, .outputs = 528, .in = 520, .swiglu = true, .bias = true}, {4}, 33);
  check_stream<E4m3, 128, 2>({.rows = 128, .outputs = 272, .in = 1160, .swiglu = true}, {3}, 34);
  check_stream<Int8, 32, 2>({.rows = 20, .outputs = 272, .in = 904, .out_f32 = true, .bias = true}, {5}, 35);
}

TEST(HopperEmulated, products_add_to_their_output) {
  COVE_SKIP_COROUTINES();
  check_stream<Bf16, 16, 1>({.rows = 9, .outputs = 200, .in = 1000, .bias = true, .add = true}, {5}, 61);
  check_stream<E4m3, 128, 2>({.rows = 101, .outputs = 272, .in = 520, .add = true}, {3}, 62);
  check_tiles<Bf16, 256, 2>({.rows = 270, .outputs = 200, .in = 200, .bias = true, .add = true}, {.clusters = 2}, 63);
}

TEST(HopperEmulated, a_cluster_adds_the_parts_of_its_tile) {
  COVE_SKIP_COROUTINES();
  check_stream<Bf16, 16, 1>({.rows = 9, .outputs = 200, .in = 1000, .bias = true}, {.cluster_parts = 3}, 41);
  check_stream<Bf16, 32, 1>({.rows = 31, .outputs = 272, .in = 200, .swiglu = true}, {.cluster_parts = 4}, 42);
  check_stream<Bf16, 64, 2>({.rows = 60, .outputs = 331, .in = 328, .out_f32 = true}, {.cluster_parts = 2}, 43);
  check_stream<Bf16, 128, 2>({.rows = 127, .outputs = 272, .in = 1352, .bias = true}, {.cluster_parts = 4}, 44);
  check_stream<E4m3, 128, 1>({.rows = 65, .outputs = 144, .in = 904, .swiglu = true}, {.cluster_parts = 3}, 45);
  check_stream<Int8, 32, 2>({.rows = 20, .outputs = 272, .in = 904, .out_f32 = true, .bias = true},
                            {.cluster_parts = 3}, 46);
}

struct Part {
  int32_t tokens = 0;
  int32_t kv_length = 0;
};
struct Heads {
  int32_t heads = 0;
  int32_t kv_heads = 0;
  int32_t page_tokens = 16;
  bool shuffled = true;  // pages
};

// A step over a shuffled paged cache that is NaN wherever no sequence has a position.
template <int kHeadDim>
class AttentionStep {
 public:
  AttentionStep(const Heads& heads, const std::vector<Part>& parts, uint64_t seed) : heads_(heads), random_(seed) {
    int32_t pages = 0;
    for (const Part& part : parts) {
      slices_.push_back({tokens_, part.tokens, part.kv_length, pages});
      pages += (part.kv_length + heads.page_tokens - 1) / heads.page_tokens;
      tokens_ += part.tokens;
    }
    pages_ = pages + 2;
    for (int32_t i = 0; i < pages_; ++i) table_.push_back(i);
    if (heads.shuffled) std::shuffle(table_.begin(), table_.end(), random_);
    const auto cache = static_cast<size_t>(pages_ * heads.kv_heads * heads.page_tokens * kHeadDim);
    keys_.assign(cache, kNanBf16);
    values_.assign(cache, kNanBf16);
    std::normal_distribution<float> normal;
    q_.resize(static_cast<size_t>(tokens_ * q_row()));
    for (uint16_t& q : q_) q = f32_to_bf16(normal(random_));
    for (const SequenceSlice& s : slices_) {
      for (int32_t key = 0; key < s.kv_length * heads.kv_heads; ++key) {
        for (int d = 0; d < kHeadDim; ++d) {
          const size_t at = row(s, key / heads.kv_heads, key % heads.kv_heads) + static_cast<size_t>(d);
          keys_[at] = f32_to_bf16(normal(random_));
          values_[at] = f32_to_bf16(normal(random_) + 0.2F);
        }
      }
    }
    out_.assign(static_cast<size_t>(tokens_ * heads.heads * kHeadDim), kNanBf16);
  }

  void run() {
    std::vector<AttentionTile> tiles;
    const auto most =
        static_cast<int32_t>(query_tile_tokens(heads_.heads, heads_.kv_heads, kHeadDim, heads_.page_tokens));
    ASSERT_GT(most, 0);
    for (size_t s = 0; s < slices_.size(); ++s) {
      for (int32_t t = 0; t < slices_[s].token_count; t += most) {
        tiles.push_back(
            {static_cast<int32_t>(s), slices_[s].token_begin + t, std::min(most, slices_[s].token_count - t)});
      }
    }
    const AttentionParams params{.q = reinterpret_cast<const uint8_t*>(q_.data()),
                                 .q_pitch = q_row() * 2,
                                 .sequences = slices_.data(),
                                 .page_table = table_.data(),
                                 .tiles = tiles.data(),
                                 .out = reinterpret_cast<uint8_t*>(out_.data()),
                                 .scale_log2 = kScale * 1.44269504F,
                                 .pages = pages_,
                                 .page_tokens = heads_.page_tokens,
                                 .heads = heads_.heads,
                                 .kv_heads = heads_.kv_heads,
                                 .units = static_cast<int32_t>(tiles.size()) * heads_.kv_heads};
    const TensorMap k_map = map(keys_);
    const TensorMap v_map = map(values_);
    const TensorMap k_runs = runs(keys_);
    const TensorMap v_runs = runs(values_);
    const uint32_t blocks = std::min(static_cast<uint32_t>(params.units), 3U);
    emulated::Machine::get().run(blocks, 1, kAttentionThreads, AttentionShared<kHeadDim>::kSharedBytes,
                                 [&] { prefill_attention_kernel<kHeadDim>(k_map, k_runs, v_map, v_runs, params); });
  }

  void check() const {
    double difference = 0.0;
    double all = 0.0;
    for (const SequenceSlice& s : slices_) {
      for (int32_t t = 0; t < s.token_count; ++t) {
        for (int32_t head = 0; head < heads_.heads; ++head) {
          const std::vector<double> wanted = reference(s, t, head);
          for (int d = 0; d < kHeadDim; ++d) {
            const int32_t token = s.token_begin + t;
            const auto at = static_cast<size_t>((token * heads_.heads + head) * kHeadDim + d);
            const double got = static_cast<double>(bf16_to_f32(out_[at]));
            ASSERT_NEAR(got, wanted[static_cast<size_t>(d)], 0.03) << "token " << token << " head " << head << " " << d;
            difference += (got - wanted[static_cast<size_t>(d)]) * (got - wanted[static_cast<size_t>(d)]);
            all += wanted[static_cast<size_t>(d)] * wanted[static_cast<size_t>(d)];
          }
        }
      }
    }
    EXPECT_LT(std::sqrt(difference / all), 8e-3);
  }

 private:
  static constexpr float kScale = kHeadDim == 64 ? 0.125F : 0.0883883476F;

  int64_t q_row() const { return (heads_.heads + 2 * heads_.kv_heads) * kHeadDim; }
  // Where a position's row of a key-value head begins in the cache.
  size_t row(const SequenceSlice& s, int32_t key, int32_t kv_head) const {
    const int32_t page = table_[static_cast<size_t>(s.page_begin + key / heads_.page_tokens)];
    return static_cast<size_t>(((page * heads_.kv_heads + kv_head) * heads_.page_tokens + key % heads_.page_tokens)) *
           kHeadDim;
  }
  TensorMap map(std::vector<uint16_t>& cache) const {
    return {reinterpret_cast<std::byte*>(cache.data()),
            int64_t{pages_} * heads_.kv_heads * heads_.page_tokens,
            kHeadDim,
            kHeadDim * 2,
            2,
            heads_.page_tokens};
  }
  TensorMap runs(std::vector<uint16_t>& cache) const {
    const int64_t rows = int64_t{heads_.kv_heads} * heads_.page_tokens;
    return {.data = reinterpret_cast<std::byte*>(cache.data()),
            .rows = rows,
            .columns = kHeadDim,
            .pitch = kHeadDim * 2,
            .element_bytes = 2,
            .box_rows = heads_.page_tokens,
            .planes = pages_,
            .plane_pitch = rows * kHeadDim * 2,
            .box_planes = kKeyRows / heads_.page_tokens};
  }
  std::vector<double> reference(const SequenceSlice& s, int32_t token, int32_t head) const {
    const int32_t keys = s.kv_length - s.token_count + token + 1;
    const int32_t kv_head = head / (heads_.heads / heads_.kv_heads);
    std::vector<double> out(kHeadDim, 0.0);
    double sum = 0.0;
    for (int32_t key = 0; key < keys; ++key) {
      const size_t at = row(s, key, kv_head);
      double score = 0.0;
      for (size_t d = 0; d < kHeadDim; ++d) {
        const size_t q = static_cast<size_t>((s.token_begin + token) * q_row() + head * kHeadDim) + d;
        score += static_cast<double>(bf16_to_f32(q_[q])) * static_cast<double>(bf16_to_f32(keys_[at + d]));
      }
      const double weight = std::exp(score * static_cast<double>(kScale));
      sum += weight;
      for (size_t d = 0; d < kHeadDim; ++d) out[d] += weight * static_cast<double>(bf16_to_f32(values_[at + d]));
    }
    for (double& value : out) value /= sum;
    return out;
  }

  Heads heads_;
  std::mt19937 random_;
  std::vector<SequenceSlice> slices_;
  std::vector<int32_t> table_;
  int32_t tokens_ = 0;
  int32_t pages_ = 0;
  std::vector<uint16_t> q_, keys_, values_, out_;
};

template <int kHeadDim>
void check_attention(const Heads& heads, const std::vector<Part>& parts, uint64_t seed) {
  SCOPED_TRACE("pages of " + std::to_string(heads.page_tokens) + ", " + std::to_string(parts.size()) + " sequences");
  AttentionStep<kHeadDim> step(heads, parts, seed);
  step.run();
  step.check();
}

TEST(HopperEmulated, attention_of_chunks_over_shuffled_pages) {
  COVE_SKIP_COROUTINES();
  check_attention<128>({.heads = 7, .kv_heads = 1}, {{1, 1}, {18, 18}, {19, 147}, {3, 260}}, 21);
  check_attention<128>({.heads = 4, .kv_heads = 2, .page_tokens = 64}, {{70, 129}, {2, 128}}, 22);
  check_attention<64>({.heads = 14, .kv_heads = 2, .page_tokens = 32}, {{20, 20}, {9, 300}}, 23);
  check_attention<64>({.heads = 1, .kv_heads = 1, .page_tokens = 8}, {{130, 131}}, 24);
  check_attention<128>({.heads = 5, .kv_heads = 1, .page_tokens = 128}, {{26, 400}}, 25);
}

TEST(HopperEmulated, attention_over_pages_that_follow_each_other) {
  COVE_SKIP_COROUTINES();
  check_attention<128>({.heads = 7, .kv_heads = 1, .shuffled = false}, {{18, 18}, {19, 147}, {3, 260}}, 71);
  check_attention<64>({.heads = 4, .kv_heads = 2, .page_tokens = 64, .shuffled = false}, {{40, 129}, {2, 128}}, 72);
}

}  // namespace
}  // namespace cove::cuda::hopper
