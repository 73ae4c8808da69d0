// Prefill attention over a paged cache, against softmax in f64, one query and head at a time.

#include <memory>
#include <numeric>

#include "backends/cuda/hopper/hopper.h"
#include "check_support.cuh"
#include "hopper_check.h"

namespace cove::check {
namespace {

namespace hopper = cuda::hopper;

using hopper::AttentionTile;
using hopper::PrefillArgs;

struct Part {  // of a step: `tokens` new positions of a sequence that then has `kv_length`
  int32_t tokens = 0;
  int32_t kv_length = 0;
};

struct Shape {
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t head_dim = 128;
  int64_t page_tokens = 16;
  float query_scale = 1.0F;  // how sharp the softmax is
  bool shuffled = true;      // pages; otherwise they follow each other
};

// A step's arrays. The cache is NaN but for the positions that sequences have.
class Step {
 public:
  Step(const Shape& shape, const std::vector<Part>& parts, uint64_t seed) : shape_(shape) {
    int32_t page_count = 0;
    for (const Part& part : parts) {
      slices_.push_back(
          {.token_begin = tokens_, .token_count = part.tokens, .kv_length = part.kv_length, .page_begin = page_count});
      page_count += static_cast<int32_t>((part.kv_length + shape.page_tokens - 1) / shape.page_tokens);
      add_tiles(static_cast<int32_t>(slices_.size()) - 1);
      tokens_ += part.tokens;
    }
    pages_ = page_count + 3;
    std::vector<int32_t> table(static_cast<size_t>(pages_));
    std::iota(table.begin(), table.end(), 0);
    for (size_t i = table.size() - 1; shape.shuffled && i > 0; --i) std::swap(table[i], table[mix(seed + i) % (i + 1)]);
    sort_tiles();
    row_bytes_ = (shape.heads + 2 * shape.kv_heads) * shape.head_dim * 2;
    const auto cache_bytes = static_cast<size_t>(pages_ * shape.kv_heads * shape.page_tokens * shape.head_dim * 2);
    q_ = std::make_unique<DeviceArray>(static_cast<size_t>(tokens_ * row_bytes_));
    keys_ = std::make_unique<DeviceArray>(cache_bytes);
    values_ = std::make_unique<DeviceArray>(cache_bytes);
    out_ = std::make_unique<DeviceArray>(static_cast<size_t>(tokens_ * shape.heads * shape.head_dim * 2));
    table_ = uploaded(table);
    device_slices_ = uploaded(slices_);
    device_tiles_ = uploaded(tiles_);
    fill<__nv_bfloat16>({q_->as(), tokens_, shape.heads * shape.head_dim, row_bytes_, seed, shape.query_scale, 0.0F});
    fill_cache(table, seed);
  }

  PrefillArgs args(int multiprocessors) const {
    PrefillArgs a;
    a.q = q_->as();
    a.q_pitch = row_bytes_;
    a.keys = keys_->as();
    a.values = values_->as();
    a.pages = pages_;
    a.page_tokens = shape_.page_tokens;
    a.heads = shape_.heads;
    a.kv_heads = shape_.kv_heads;
    a.head_dim = shape_.head_dim;
    a.sequences = device_slices_->as<SequenceSlice>();
    a.page_table = table_->as<int32_t>();
    a.tiles = device_tiles_->as<AttentionTile>();
    a.tile_count = static_cast<int64_t>(tiles_.size());
    a.scale = 1.0F / std::sqrt(static_cast<float>(shape_.head_dim));
    a.out = out_->as();
    a.multiprocessors = multiprocessors;
    return a;
  }
  DeviceArray& out() { return *out_; }
  int32_t tokens() const { return tokens_; }
  int32_t sequence_count() const { return static_cast<int32_t>(slices_.size()); }
  // Scores that are not masked, times 4 head_dim: two products of a multiplication and an addition each.
  double operations() const {
    double pairs = 0.0;
    for (const SequenceSlice& s : slices_) {
      const double first = s.kv_length - s.token_count + 1;
      pairs += (first + s.kv_length) / 2.0 * s.token_count;
    }
    return pairs * 4.0 * static_cast<double>(shape_.head_dim * shape_.heads);
  }

 private:
  template <class T>
  static std::unique_ptr<DeviceArray> uploaded(const std::vector<T>& values) {
    auto array = std::make_unique<DeviceArray>(values.size() * sizeof(T));
    array->upload(values.data(), values.size() * sizeof(T));
    return array;
  }
  void add_tiles(int32_t sequence) {
    const SequenceSlice& s = slices_[static_cast<size_t>(sequence)];
    const auto most = static_cast<int32_t>(
        hopper::prefill_tile_tokens(shape_.heads, shape_.kv_heads, shape_.head_dim, shape_.page_tokens));
    for (int32_t begin = 0; begin < s.token_count; begin += most) {
      tiles_.push_back({sequence, s.token_begin + begin, std::min(most, s.token_count - begin)});
    }
  }
  // As the backend has them: those that see the most keys first.
  void sort_tiles() {
    const auto keys = [&](const AttentionTile& tile) {
      const SequenceSlice& s = slices_[static_cast<size_t>(tile.sequence)];
      return s.kv_length - s.token_count + tile.first_token - s.token_begin + tile.tokens;
    };
    std::stable_sort(tiles_.begin(), tiles_.end(),
                     [&](const AttentionTile& a, const AttentionTile& b) { return keys(a) > keys(b); });
  }
  void fill_cache(const std::vector<int32_t>& table, uint64_t seed) {
    for (const SequenceSlice& s : slices_) {
      for (int32_t position = 0; position < s.kv_length; position += static_cast<int32_t>(shape_.page_tokens)) {
        const auto index = static_cast<size_t>(s.page_begin + position / shape_.page_tokens);
        const int64_t rows = std::min<int64_t>(shape_.page_tokens, s.kv_length - position);
        for (int64_t head = 0; head < shape_.kv_heads; ++head) {
          const int64_t at = (table[index] * shape_.kv_heads + head) * shape_.page_tokens * shape_.head_dim;
          const uint64_t own = mix(seed + static_cast<uint64_t>(at));
          const int64_t pitch = shape_.head_dim * 2;
          fill<__nv_bfloat16>({keys_->as<__nv_bfloat16>() + at, rows, shape_.head_dim, pitch, own, 1.0F, 0.0F});
          fill<__nv_bfloat16>({values_->as<__nv_bfloat16>() + at, rows, shape_.head_dim, pitch, own + 1, 1.0F, 0.2F});
        }
      }
    }
  }

  Shape shape_;
  std::vector<SequenceSlice> slices_;
  std::vector<AttentionTile> tiles_;
  int32_t tokens_ = 0;
  int64_t pages_ = 0;
  int64_t row_bytes_ = 0;
  std::unique_ptr<DeviceArray> q_, keys_, values_, out_, table_, device_slices_, device_tiles_;
};

struct ReferenceArgs {
  PrefillArgs attention{};
  int32_t sequence_count = 0;
  Errors* errors = nullptr;
};

constexpr int kThreads = 128;

// One block per (token, head); thread d owns output column d.
__global__ void reference_kernel(const ReferenceArgs r) {
  const PrefillArgs& a = r.attention;
  extern __shared__ double scores[];
  const auto token = static_cast<int32_t>(blockIdx.x);
  const int64_t head = blockIdx.y;
  int32_t sequence = 0;
  while (sequence + 1 < r.sequence_count && a.sequences[sequence + 1].token_begin <= token) ++sequence;
  const SequenceSlice s = a.sequences[sequence];
  const int32_t keys = s.kv_length - s.token_count + token - s.token_begin + 1;
  const auto* q =
      reinterpret_cast<const __nv_bfloat16*>(static_cast<const uint8_t*>(a.q) + token * a.q_pitch) + head * a.head_dim;
  const auto row = [&](const void* cache, int32_t key) {
    const int64_t page = a.page_table[s.page_begin + key / a.page_tokens];
    const int64_t at = (page * a.kv_heads + head / (a.heads / a.kv_heads)) * a.page_tokens + key % a.page_tokens;
    return static_cast<const __nv_bfloat16*>(cache) + at * a.head_dim;
  };
  double own_sum = 0.0;
  for (int32_t key = static_cast<int32_t>(threadIdx.x); key < keys; key += kThreads) {
    const __nv_bfloat16* k = row(a.keys, key);
    double score = 0.0;
    for (int64_t d = 0; d < a.head_dim; ++d) score += widen(q[d]) * widen(k[d]);
    scores[key] = exp(score * static_cast<double>(a.scale));
    own_sum += scores[key];
  }
  const double sum = block_sum(own_sum);
  if (threadIdx.x >= a.head_dim) return;
  double value = 0.0;
  for (int32_t key = 0; key < keys; ++key) value += scores[key] * widen(row(a.values, key)[threadIdx.x]);
  const int64_t at = (int64_t{token} * a.heads + head) * a.head_dim + threadIdx.x;
  add_error(r.errors, static_cast<uint64_t>(at), widen(static_cast<const __nv_bfloat16*>(a.out)[at]), value / sum,
            2e-2);
}

std::string text_of(const Shape& shape, const std::vector<Part>& parts) {
  char text[200];
  std::snprintf(text, sizeof text, "attention %lld/%lld heads of %lld, %s of %lld, %zu sequences, first %d of %d",
                static_cast<long long>(shape.heads), static_cast<long long>(shape.kv_heads),
                static_cast<long long>(shape.head_dim), shape.shuffled ? "shuffled pages" : "pages",
                static_cast<long long>(shape.page_tokens), parts.size(), parts[0].tokens, parts[0].kv_length);
  return text;
}

// Probabilities are rounded to 8 bits before they meet the values, and the output again: 1e-3 each, of a mean that is
// smaller than what is averaged.
constexpr double kTolerance = 8e-3;

void check_step(const Shape& shape, const std::vector<Part>& parts, const Options& options, double& worst) {
  Step step(shape, parts, options.seed + 50);
  const std::string what = text_of(shape, parts);
  announce(what);
  const PrefillArgs args = step.args(options.multiprocessors);
  uint64_t first = 0;
  for (int run = 0; run < 3; ++run) {
    step.out().poison();
    require_launch(hopper::launch_prefill_attention(args, nullptr), what.c_str());
    REQUIRE_CUDA(cudaDeviceSynchronize());
    const uint64_t sum = fingerprint(step.out());
    if (run == 0) first = sum;
    expect(sum == first, what + ": two runs differ");
  }
  DeviceArray errors(sizeof(Errors));
  reset_errors(errors);
  int32_t longest = 0;
  for (const Part& part : parts) longest = std::max(longest, part.kv_length);
  const size_t shared = static_cast<size_t>(longest) * sizeof(double);
  REQUIRE_CUDA(cudaFuncSetAttribute(reference_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                    static_cast<int>(std::max<size_t>(shared, 1024))));
  const dim3 grid(static_cast<unsigned>(step.tokens()), static_cast<unsigned>(shape.heads));
  reference_kernel<<<grid, kThreads, shared>>>({args, step.sequence_count(), errors.as<Errors>()});
  REQUIRE_CUDA(cudaGetLastError());
  REQUIRE_CUDA(cudaDeviceSynchronize());
  const Errors found = read_errors(errors);
  worst = std::max(worst, found.relative() / kTolerance);
  char text[160];
  std::snprintf(text, sizeof text, ": relative error %.2e (limit %.0e), %llu of %llu wrong, first at %llu",
                found.relative(), kTolerance, found.wrong, found.compared, found.first_wrong);
  expect(found.wrong == 0 && found.relative() <= kTolerance, what + text);
  expect(step.out().guard_is_whole(), what + ": wrote behind the output");
}

}  // namespace

void check_attention(const Options& options) {
  const Shape shapes[] = {{28, 4, 128, 16},
                          {12, 2, 128, 16},
                          {32, 8, 128, 64},
                          {8, 8, 128, 16},
                          {14, 2, 64, 16},
                          {16, 4, 64, 32},
                          {28, 4, 128, 8},
                          {28, 4, 128, 128},
                          {28, 4, 128, 16, 6.0F},
                          {5, 1, 64, 8},
                          {40, 1, 128, 16, 3.0F},
                          {28, 4, 128, 16, 1.0F, false},
                          {14, 2, 64, 32, 1.0F, false}};
  const std::vector<std::vector<Part>> steps = {
      {{1, 1}},
      {{1, 128}},
      {{1, 129}},
      {{7, 7}, {18, 18}, {19, 19}, {1, 300}, {64, 64}},
      {{128, 128}},
      {{129, 257}},
      {{300, 300}, {33, 1033}, {2, 640}, {500, 777}},
      {{256, 4096}},
  };
  double worst = 0.0;
  for (const Shape& shape : shapes) {
    for (const std::vector<Part>& parts : steps) check_step(shape, parts, options, worst);
  }
  std::printf("attention: worst error %.2f of its limit, %d failures so far\n", worst, failures);
  std::fflush(stdout);
}

void measure_attention(const Options& options) {
  std::printf("\nattention of 28/4 heads of 128, pages of 16, bf16; share = of operations / peak\n");
  std::printf("  %-34s %9s %8s %6s\n", "step, pages in order or shuffled", "us", "TFLOP/s", "share");
  struct Load {
    const char* name;
    std::vector<Part> parts;
  };
  const Load loads[] = {{"512 tokens", {{512, 512}}},
                        {"4096 tokens", {{4096, 4096}}},
                        {"16384 tokens", {{16384, 16384}}},
                        {"2048 tokens behind 14336", {{2048, 16384}}},
                        {"32 sequences of 128 tokens", std::vector<Part>(32, Part{128, 128})},
                        {"8 sequences of 512", std::vector<Part>(8, Part{512, 512})}};
  for (const Load& load : loads) {
    for (const bool shuffled : {false, true}) {
      Step step({28, 4, 128, 16, 1.0F, shuffled}, load.parts, options.seed + 60);
      const PrefillArgs args = step.args(options.multiprocessors);
      const double us = time_us(10, [&](int, cudaStream_t stream) {
        require_launch(hopper::launch_prefill_attention(args, stream), "timing");
      });
      std::printf("  %-26s %7s %9.1f %8.0f %5.0f%%\n", load.name, shuffled ? "shuffle" : "order", us,
                  step.operations() / us / 1e6, 100.0 * step.operations() / us / options.ceilings.bf16_flops_per_us);
      std::fflush(stdout);
    }
  }
}

}  // namespace cove::check
