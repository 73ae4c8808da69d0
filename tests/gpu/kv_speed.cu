// How long decode attention takes over a cache in bf16 and in e4m3: kernels/decode_attention.cu alone, with the
// rotation inside, 28/4 heads of 128, pages of 16, in microseconds a layer and GB/s of keys and values. Layers are
// taken in turn, so that what is read comes from memory and not from L2. Both caches hold the same values (unpack_pages
// makes the bf16 one), so that the results must agree but for the rounding of weights, 2^-9 in one and 2^-12 in the
// other: whether they are right is cove_cuda_test's business. tests/gpu/kv_speed.sh builds and runs it.

#include <memory>
#include <numeric>

#include "backends/cuda/kernels/attention.h"
#include "backends/cuda/kernels/rows.h"
#include "backends/cuda/plan/attention_plan.h"
#include "check_support.cuh"

#if defined(COVE_BESIDE)
namespace cove::cuda {
const char* COVE_BESIDE(const DecodeAttentionLaunch& args, void* stream);
}  // namespace cove::cuda
#endif

namespace cove::check {
namespace {

constexpr int64_t kHeads = 28;
constexpr int64_t kKvHeads = 4;
constexpr int64_t kDim = 128;
constexpr int64_t kPageTokens = 16;
constexpr double kBytesAtLeast = 600e6;  // of all layers: many times L2
constexpr size_t kPartialBytes = size_t{64} << 20;

// Layers of one cache, all rows of keys, then all of values.
struct Cache {
  int64_t rows;  // of a layer and side
  int64_t layers;
  bool fp8;
  DeviceArray values;
  DeviceArray powers;

  Cache(int64_t row_count, int64_t layer_count, bool is_fp8)
      : rows(row_count),
        layers(layer_count),
        fp8(is_fp8),
        values(static_cast<size_t>(layer_count * 2 * row_count * kDim * (is_fp8 ? 1 : 2))),
        powers(is_fp8 ? static_cast<size_t>(layer_count * 2 * row_count) : 16) {}
  cuda::LayerCache layer(int64_t index) const {
    const int64_t side = rows * kDim * (fp8 ? 1 : 2);
    auto* begin = values.as<uint8_t>() + 2 * index * side;
    return {.keys = begin,
            .values = begin + side,
            .kv_heads = kKvHeads,
            .page_tokens = kPageTokens,
            .head_dim = kDim,
            .powers = fp8 ? powers.as<uint8_t>() + 2 * index * rows : nullptr};
  }
};

class Step {
 public:
  Step(int64_t sequences, int64_t length, int multiprocessors)
      : sequences_(sequences),
        length_(length),
        pages_(sequences * (length / kPageTokens)),
        qkv_(static_cast<size_t>(sequences * (kHeads + 2 * kKvHeads) * kDim * 2)),
        turns_(static_cast<size_t>(sequences * kDim) * sizeof(float)),
        table_(static_cast<size_t>(pages_) * sizeof(int32_t)),
        partials_(kPartialBytes),
        counters_(static_cast<size_t>(sequences * kKvHeads) * sizeof(unsigned)) {
    // The new key and value are zeros: rounded alike in both caches.
    qkv_.zero();
    fill<__nv_bfloat16>({qkv_.as(), sequences, kHeads * kDim, (kHeads + 2 * kKvHeads) * kDim * 2, 5});
    fill<float>({turns_.as(), 1, sequences * kDim, 0, 6, 0.7F});
    std::vector<int32_t> table(static_cast<size_t>(pages_));
    std::iota(table.begin(), table.end(), 0);
    for (size_t i = table.size() - 1; i > 0; --i) std::swap(table[i], table[mix(i) % (i + 1)]);
    table_.upload(table.data(), table_.bytes());
    counters_.zero();
    std::vector<SequenceSlice> slices;
    for (int64_t s = 0; s < sequences; ++s) {
      slices.push_back({.token_begin = static_cast<int32_t>(s),
                        .token_count = 1,
                        .kv_length = static_cast<int32_t>(length),
                        .page_begin = static_cast<int32_t>(s * (length / kPageTokens))});
    }
    const int64_t partial = cuda::attention_partial_bytes(cuda::kTileRows, kDim);
    plan_ = cuda::plan_attention(slices,
                                 {.heads = kHeads,
                                  .kv_heads = kKvHeads,
                                  .multiprocessors = multiprocessors,
                                  .partials_max = static_cast<int64_t>(kPartialBytes) / partial,
                                  .decode_kernel = true},
                                 0)
                .decode;
    for (size_t s = 0; s < plan_.tiles.size(); ++s) {
      const auto last = static_cast<size_t>(plan_.tiles[s].page_begin + (length - 1) / kPageTokens);
      plan_.tiles[s].slot = static_cast<int32_t>(table[last] * kPageTokens + (length - 1) % kPageTokens);
    }
    tiles_ = std::make_unique<DeviceArray>(plan_.tiles.size() * sizeof(cuda::DecodeTile));
    tiles_->upload(plan_.tiles.data(), tiles_->bytes());
  }

  cuda::DecodeAttentionLaunch launch(const Cache& cache, int64_t layer, const DeviceArray& out) const {
    return {.qkv = qkv_.as(),
            .heads = kHeads,
            .cache = cache.layer(layer),
            .scale = 0.088388347F,
            .turns = turns_.as<float>(),
            .page_table = table_.as<int32_t>(),
            .tiles = tiles_->as<cuda::DecodeTile>(),
            .tile_count = sequences_,
            .split_keys = plan_.split_keys,
            .splits = plan_.splits,
            .partials = partials_.as<float>(),
            .counters = counters_.as<unsigned>(),
            .out = out.as()};
  }
  int64_t rows() const { return pages_ * kKvHeads * kPageTokens; }
  int64_t pages() const { return pages_; }
  int64_t splits() const { return plan_.splits; }
  size_t out_bytes() const { return static_cast<size_t>(sequences_ * kHeads * kDim * 2); }
  double positions() const { return static_cast<double>(sequences_ * length_ * kKvHeads); }

 private:
  int64_t sequences_;
  int64_t length_;
  int64_t pages_;
  DeviceArray qkv_, turns_, table_, partials_, counters_;
  cuda::DecodePlan plan_;
  std::unique_ptr<DeviceArray> tiles_;
};

double measure(const Step& step, const Cache& cache, const DeviceArray& out) {
  const int calls = static_cast<int>(std::max<int64_t>(cache.layers, 8));
  return time_us(calls, [&](int i, cudaStream_t stream) {
    require_launch(cuda::launch_decode_attention(step.launch(cache, i % cache.layers, out), stream),
                   "decode attention");
  });
}

void unpack(const Step& step, const Cache& from, const Cache& to) {
  std::vector<int32_t> all(static_cast<size_t>(step.pages()));
  std::iota(all.begin(), all.end(), 0);
  DeviceArray pages(all.size() * sizeof(int32_t));
  pages.upload(all.data(), pages.bytes());
  for (int64_t layer = 0; layer < from.layers; ++layer) {
    require_launch(cuda::launch_unpack_pages({.cache = from.layer(layer),
                                              .pages = pages.as<int32_t>(),
                                              .count = step.pages(),
                                              .keys = to.layer(layer).keys,
                                              .values = to.layer(layer).values},
                                             nullptr),
                   "unpack_pages");
  }
  REQUIRE_CUDA(cudaDeviceSynchronize());
}

double difference(const DeviceArray& a, const DeviceArray& b) {
  const auto values = [](const DeviceArray& array) {
    const std::vector<uint8_t> bytes = array.bytes_at(0, array.bytes());
    std::vector<float> out(bytes.size() / 2);
    for (size_t i = 0; i < out.size(); ++i) {
      const uint32_t bits = static_cast<uint32_t>(bytes[2 * i]) << 16 | static_cast<uint32_t>(bytes[2 * i + 1]) << 24;
      memcpy(&out[i], &bits, sizeof bits);
    }
    return out;
  };
  const std::vector<float> x = values(a);
  const std::vector<float> y = values(b);
  double squares = 0;
  double sum = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    squares += static_cast<double>(y[i]) * y[i];
    sum += (static_cast<double>(x[i]) - y[i]) * (static_cast<double>(x[i]) - y[i]);
  }
  return std::sqrt(sum / squares);
}

void run(int64_t sequences, int64_t length, int multiprocessors) {
  const Step step(sequences, length, multiprocessors);
  const double bytes_fp8 = step.positions() * (2 * kDim + 2);
  const double bytes_bf16 = step.positions() * 4 * kDim;
  const auto layers = static_cast<int64_t>(std::max(1.0, std::ceil(kBytesAtLeast / bytes_fp8)));
  const Cache fp8(step.rows(), layers, true);
  const Cache bf16(step.rows(), layers, false);
  fill<__nv_fp8_e4m3>({fp8.values.as(), 1, static_cast<int64_t>(fp8.values.bytes()), 0, 9, 100.0F});
  REQUIRE_CUDA(cudaMemset(fp8.powers.as(), 127 - 7, fp8.powers.bytes()));
  unpack(step, fp8, bf16);
  DeviceArray out_fp8(step.out_bytes());
  DeviceArray out_bf16(step.out_bytes());
  const double us_bf16 = measure(step, bf16, out_bf16);
  const double us_fp8 = measure(step, fp8, out_fp8);
  require_launch(cuda::launch_decode_attention(step.launch(bf16, 0, out_bf16), nullptr), "decode attention");
  require_launch(cuda::launch_decode_attention(step.launch(fp8, 0, out_fp8), nullptr), "decode attention");
  REQUIRE_CUDA(cudaDeviceSynchronize());
  const double error = difference(out_fp8, out_bf16);
  expect(error < 0.006, "both caches give the same results but for roundings");
  std::printf(
      "%5lld x %5lld  %2lld splits   bf16 %8.1f us %5.0f GB/s   fp8 %8.1f us %5.0f GB/s   %4.2f times   differ by "
      "%.4f\n",
      static_cast<long long>(sequences), static_cast<long long>(length), static_cast<long long>(step.splits()), us_bf16,
      bytes_bf16 / us_bf16 / 1e3, us_fp8, bytes_fp8 / us_fp8 / 1e3, us_bf16 / us_fp8, error);
#if defined(COVE_BESIDE)
  // Another version of the bf16 kernel beside, for comparison.
  const double us_old = time_us(static_cast<int>(std::max<int64_t>(layers, 8)), [&](int i, cudaStream_t stream) {
    require_launch(cuda::COVE_BESIDE(step.launch(bf16, i % layers, out_bf16), stream), "beside");
  });
  std::printf("               beside: bf16 %8.1f us %5.0f GB/s\n", us_old, bytes_bf16 / us_old / 1e3);
#endif
}

}  // namespace
}  // namespace cove::check

int main() {
  int device_count = 0;
  if (cudaGetDeviceCount(&device_count) != cudaSuccess || device_count == 0) {
    std::printf("no GPU here\n");
    return 77;
  }
  cudaDeviceProp properties{};
  REQUIRE_CUDA(cudaGetDeviceProperties(&properties, 0));
  std::printf("decode attention on %s, 28/4 heads of 128; sequences x positions\n", properties.name);
  for (const int64_t sequences : {1, 32, 128}) {
    for (const int64_t length : {256, 1024, 4096, 16384})
      cove::check::run(sequences, length, properties.multiProcessorCount);
  }
  std::printf("%d checks, %d failed\n", cove::check::checks, cove::check::failures);
  return cove::check::failures == 0 ? 0 : 1;
}
